"""The endpoint is asked until it answers, and never shown the door with the key."""

import email.utils
import time

import pytest

from babyvlm_jax.runtime.errors import Preempted, UserError
from data_prep.transfer import chat as module
from data_prep.transfer import prompts
from data_prep.transfer.chat import (
    TRIES,
    Chat,
    Endpoint,
    Pace,
    Stopped,
    ask_all,
    known_answers,
    retry_after_s,
)
from data_prep.transfer.prompts import Answer, Cache, Prices, Purse
from tests.data_prep.transfer.chat_stub import KEY, serve


def _chat(stub, **more):
    endpoint = Endpoint(stub.url, "tiny", first_wait_s=0.01, timeout_s=5, **more)
    return Chat(endpoint, Pace(0), 2)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_the_request_has_prompt_schema_and_key():
    with serve() as stub:
        reply = _chat(stub).ask(["a ball", "a cat"])
    assert (reply.tokens_in, reply.tokens_out) == (100, 20)
    (body,) = stub.bodies
    assert body["model"] == "tiny"
    assert body["messages"][0] == {"role": "system", "content": prompts.SYSTEM}
    assert body["response_format"]["json_schema"]["schema"] == prompts.SCHEMA
    assert stub.keys == [f"Bearer {KEY}"]


def test_a_lesser_server_is_asked_for_less(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with serve() as stub:
        _chat(stub, answer_format="json_object").ask(["a"])
        _chat(stub, answer_format="text").ask(["a"])
    assert stub.bodies[0]["response_format"] == {"type": "json_object"}
    assert "response_format" not in stub.bodies[1]
    assert stub.keys == [None, None]


def test_faults_that_pass_are_waited_out():
    faults = [429, 500, "drop", 503, "html"]
    with serve(faults) as stub:
        assert _chat(stub).ask(["a ball"]).content
    assert len(stub.bodies) == 6
    assert stub.captions == [["a ball"]]


def test_faults_that_stay_end_the_run_to_be_tried_again():
    with serve([500] * 9) as stub, pytest.raises(Preempted) as stop:
        _chat(stub, attempts=3).ask(["a"])
    assert "failed 3 times, at last with HTTP 500" in str(stop.value)
    assert "run the same command again" in str(stop.value)
    assert KEY not in str(stop.value)
    assert len(stub.bodies) == 3


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "--answer-format"),
        (401, "environment variable OPENAI_API_KEY is set; check it"),
        (404, "check --endpoint and --model"),
        (302, "check --endpoint"),  # another host would see the key
    ],
)
def test_a_refusal_is_not_repeated_and_hides_the_key(status, remedy):
    with serve([status]) as stub, pytest.raises(UserError) as error:
        _chat(stub).ask(["a"])
    assert remedy in str(error.value)
    assert "[key] is at fault" in str(error.value)  # the server had repeated it
    assert KEY not in str(error.value)
    assert len(stub.bodies) == 1


def test_what_no_header_can_hold_is_not_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nsecond line")
    with serve() as stub, pytest.raises(UserError, match="no key has") as error:
        _chat(stub)
    assert KEY not in str(error.value)


def test_a_server_that_is_not_there():
    with serve() as stub:
        pass
    with pytest.raises(Preempted, match="failed 2 times"):
        _chat(stub, attempts=2).ask(["a"])


def test_how_long_the_server_asks_to_wait():
    assert retry_after_s({}) == 0
    assert retry_after_s({"Retry-After": "7.5"}) == 7.5
    assert retry_after_s({"Retry-After": "-3"}) == 0
    assert retry_after_s({"Retry-After": "nan"}) == 0
    assert retry_after_s({"Retry-After": "soon"}) == 0
    assert retry_after_s({"Retry-After": "99999"}) == 120
    later = email.utils.formatdate(time.time() + 50, usegmt=True)
    assert 40 < retry_after_s({"Retry-After": later}) <= 50


class _Clock:
    """Time that passes only while somebody waits."""

    def __init__(self, monkeypatch, pace):
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(pace.stopped, "wait", self._pass)

    def _pass(self, seconds):
        self.now += seconds


def test_requests_are_spread_and_held_back(monkeypatch):
    pace = Pace(per_minute=30)
    clock = _Clock(monkeypatch, pace)
    went = []
    for _ in range(3):
        pace.wait()
        went.append(clock.now)
    pace.hold(10)
    pace.wait()
    went.append(clock.now)
    pace.wait()
    went.append(clock.now)
    assert went == [100, 102, 104, 114, 116]


def test_who_waits_wakes_up_when_all_is_stopped():
    pace = Pace(0)
    pace.hold(3600)
    pace.stopped.set()
    with pytest.raises(Stopped):
        pace.wait()


CAPTIONS = [f"ball {i}" for i in range(10)] + ["advert 1", "advert 2"]


@pytest.fixture
def cache(tmp_path):
    ours = Cache(tmp_path / "answers.sqlite")
    yield ours
    ours.close()


def _ask(
    stub, cache, captions=CAPTIONS, per_request=4, concurrency=3, purse=None, **more
):
    pace = Pace(0)
    endpoint = Endpoint(stub.url, "tiny", first_wait_s=0.01, timeout_s=5, **more)
    chat = Chat(endpoint, pace, concurrency)
    purse = purse or Purse(Prices())
    return ask_all(chat, pace, cache, "tiny", captions, per_request, concurrency, purse)


def _wanted(captions):
    return {
        text: Answer(False, "") if "advert" in text else Answer(True, f"look, {text}!")
        for text in captions
    }


def test_captions_go_in_batches_side_by_side(cache):
    with serve(["slow"] * 3) as stub:
        answers, failed = _ask(stub, cache)
    assert answers == _wanted(CAPTIONS)
    assert not failed
    assert sorted(map(len, stub.captions)) == [4, 4, 4]
    assert stub.at_once == 3
    assert known_answers(cache, "tiny", CAPTIONS) == answers


def test_no_more_requests_at_a_time_than_wanted(cache):
    with serve(["slow"] * 6) as stub:
        _ask(stub, cache, per_request=2, concurrency=2)
    assert stub.at_once == 2


@pytest.mark.parametrize("fault", ["garbage", "half", "long", "refuses"])
def test_what_makes_no_sense_is_asked_again_alone(cache, fault):
    with serve([fault]) as stub:
        answers, failed = _ask(stub, cache, CAPTIONS[:4], concurrency=1)
    assert answers == _wanted(CAPTIONS[:4])
    assert not failed
    again = {"half": 2, "long": 1}.get(fault, 4)
    assert sorted(map(len, stub.captions)) == [1] * again + [4]


def test_what_never_makes_sense_is_left_out_with_the_reason(cache):
    with serve(["garbage"] * (1 + 2 * (TRIES - 1))) as stub:
        answers, failed = _ask(stub, cache, CAPTIONS[:2], concurrency=1)
    assert not answers
    assert set(failed) == set(CAPTIONS[:2])
    assert "not the JSON" in failed[CAPTIONS[0]]
    assert len(stub.bodies) == 1 + 2 * (TRIES - 1)
    assert not known_answers(cache, "tiny", CAPTIONS)  # to be asked again some day


def test_answers_before_a_failure_are_kept(cache):
    with serve([None, None, *[500] * 20]) as stub, pytest.raises(Preempted):
        _ask(stub, cache, per_request=2, concurrency=1, attempts=2)
    assert known_answers(cache, "tiny", CAPTIONS) == _wanted(CAPTIONS[:4])


def test_the_purse_ends_the_asking(cache):
    # 100 tokens read and 40 written a request, at $1 each
    purse = Purse(Prices(1e6, 1e6), most=200)
    with serve() as stub, pytest.raises(UserError, match="max-cost=200 is reached"):
        _ask(stub, cache, concurrency=1, purse=purse)
    assert (purse.tokens_in, purse.tokens_out) == (200, 80)
    assert len(known_answers(cache, "tiny", CAPTIONS)) == 8
