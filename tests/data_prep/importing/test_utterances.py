"""Utterances -> records."""

import pytest

from data_prep.importing.refusal import Refusal
from data_prep.importing.utterances import Utterances


def test_a_string_is_squeezed_into_one_turn():
    record = Utterances().record("  look \n at\tthis ", "x")
    assert (record.id, record.source, record.images) == ("x", "text", ())
    assert record.turns == (("assistant", "look at this"),) and record.meta == {}


def test_a_transcript_line_keeps_its_times():
    line = {"start_s": 1.5, "end_s": 2, "text": "hi", "confidence": 0.5,
            "speaker": None, "other": 1}  # fmt: skip
    record = Utterances().record(line, "x")
    assert record.turns == (("assistant", "hi"),)
    assert record.meta == {"start_s": 1.5, "end_s": 2, "confidence": 0.5}


def test_ids_are_numbers():
    assert Utterances().id("any", 12) == "000000012"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "empty_answer"),
        (" \n", "empty_answer"),
        ({"text": ""}, "empty_answer"),
        (5, "not_text"),
        (None, "not_text"),
        (["a"], "not_text"),
        ({"words": "a"}, "not_text"),
        ({"text": 1}, "not_text"),
        ("a\udcff", "non_utf8"),
        ("see <image> this", "image_marks"),
    ],
)
def test_refusals(raw, reason):
    with pytest.raises(Refusal) as refusal:
        Utterances().record(raw, "x")
    assert refusal.value.reason == reason
