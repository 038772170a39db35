"""A model's answers are taken one by one, and only in the form that was asked for."""

import json

import pytest

from data_prep.transfer.answers import Answer, read_answers


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
