"""Prompts, answers, their cost and their cache."""

import json

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.transfer import prompts
from data_prep.transfer.prompts import (
    ANSWER_TOKENS,
    Answer,
    Cache,
    Prices,
    Purse,
    estimate,
    key_of,
    read_answers,
)


def test_answers_are_found_again_by_all_that_they_depend_on(tmp_path, monkeypatch):
    path = tmp_path / "made" / "answers.sqlite"
    ours = Cache(path)
    many = {
        key_of("m", f"caption {i}"): Answer(i % 2 == 0, f"a {i}!") for i in range(1200)
    }
    ours.put(many)
    ours.put({key_of("m", "caption 0"): Answer(False, "")})  # the first one stays
    ours.close()
    again = Cache(path)
    assert again.find([*many, "unknown"]) == many
    assert not again.find([key_of("other", "caption 0")])
    monkeypatch.setattr(prompts, "FINGERPRINT", "another prompt")
    assert not again.find([key_of("m", "caption 0")])


def test_a_file_that_is_no_cache_is_refused(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_text("not a database, but long enough to be looked at" * 30)
    with pytest.raises(UserError, match="cannot be used"):
        Cache(path)


def test_an_estimate_counts_what_is_sent():
    captions = [f"a photo of number {i} on a wall" for i in range(45)]
    found = estimate(captions, per_request=20)
    sent = sum(
        len(json.dumps(prompts.messages(captions[first : first + 20])))
        + len(json.dumps(prompts.SCHEMA))
        for first in (0, 20, 40)
    )
    assert (found.captions, found.requests) == (45, 3)
    # four characters a token, escapes aside
    assert found.tokens_in == pytest.approx(sent / 4, rel=0.1)
    assert found.tokens_out == 45 * ANSWER_TOKENS
    assert "$" not in found.line(Prices())
    assert "about $" in found.line(Prices(2, 8))


def test_too_dear_is_said_before_anything_is_sent():
    wanted = estimate(["a ball"] * 1000, 20)
    with pytest.raises(UserError, match=r"more than --max-cost=0\.01"):
        Purse(Prices(1, 1), 0.01).expect(wanted)
    Purse(Prices(1, 1), 0).expect(wanted)
    Purse(Prices(1, 1), 100).expect(wanted)


def _item(number, keep=True, utterance="a ball!"):
    return {"id": number, "keep": keep, "utterance": utterance}


def _content(*items):
    return json.dumps({"answers": list(items)})


def test_whole_answers():
    content = _content(_item(1, False, "junk"), _item(0, True, "  look,\n a ball! "))
    good, bad = read_answers(content, 2)
    assert good == {0: Answer(True, "look, a ball!"), 1: Answer(False, "")}
    assert not bad


@pytest.mark.parametrize(
    "content",
    [
        "",
        "Sure!",
        "[]",
        "null",
        '{"answers": {}}',
        '{"answer": []}',
        "[" * 100_000,
        None,
        '{"answers": [',
    ],
)
def test_no_answer_at_all(content):
    good, bad = read_answers(content, 3)
    assert not good
    assert set(bad) == {0, 1, 2}


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"id": 0, "keep": True}, "keys"),
        ({**_item(0), "more": 1}, "keys"),
        (_item(0, keep="yes"), "keep is not a boolean"),
        (_item(0, keep=1), "keep is not a boolean"),
        (_item(0, utterance=None), "keep is not a boolean"),
        (_item(0, utterance="  "), "kept without a word"),
        (_item(0, utterance="?!"), "kept without a word"),
        (_item(0, utterance="a <image>"), "characters"),
        (_item(0, utterance="\ud800 ball"), "characters"),
        (_item(0, utterance="ball " * 17), "17 words"),
        (_item(True), "no answer"),
        (_item(7), "no answer"),
        ("ball", "no answer"),
    ],
)
def test_one_bad_answer_costs_only_itself(item, why):
    good, bad = read_answers(_content(item, _item(1)), 2)
    assert good == {1: Answer(True, "a ball!")}
    assert list(bad) == [0]
    assert bad[0].startswith(why)


def test_two_answers_for_one_caption_are_none():
    twice = [_item(0), _item(0, utterance="a cat!"), _item(0)]
    assert read_answers(_content(*twice), 1) == ({}, {0: "two answers for one caption"})
