"""Several captions a request, several requests at a time, every answer kept at once."""

import pytest

from babyvlm_jax.runtime.errors import Preempted, UserError
from data_prep.transfer.answers import Answer
from data_prep.transfer.asking import TRIES, ask_all, known_answers
from data_prep.transfer.cache import Cache
from data_prep.transfer.chat import Chat, Endpoint
from data_prep.transfer.cost import Prices, Purse
from data_prep.transfer.pace import Pace
from tests.data_prep.transfer.chat_stub import serve

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
