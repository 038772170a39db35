"""Counts, lengths and words."""

import numpy as np
import pytest

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from data_prep.inspect.statistics import evenly, gather, histogram, spread, words

RECORDS = [
    Record("a", "text", (), ((ASSISTANT, "look at the ball"),)),
    Record("b", "text", (), ((ASSISTANT, "Look!"),)),
    Record(
        "c", "image_utterance", (b"",), ((HUMAN, "<image> what?"), (ASSISTANT, "a"))
    ),
    Record("d", "frames", (b"",)),
]


def test_counts_by_source():
    stats = gather(RECORDS)
    assert stats.sources == {
        "frames": {"records": 1, "images": 1, "turns": 0, "words": 0},
        "image_utterance": {"records": 1, "images": 1, "turns": 2, "words": 2},
        "text": {"records": 2, "images": 0, "turns": 2, "words": 5},
    }
    assert list(stats.sources) == ["frames", "image_utterance", "text"]
    assert stats.totals == {"records": 4, "images": 2, "turns": 4, "words": 7}
    assert stats.lengths.tolist() == [4, 1, 2, 0]
    assert stats.answer_words == {"look": 2, "at": 1, "the": 1, "ball": 1, "a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<image> There's a ball!", ["there's", "a", "ball"]),
        ("<image><image>", []),
        (
            "(A) 12 it\u2019s \u00dcber_all",
            ["a", "12", "it\u2019s", "\u00fcber", "all"],
        ),
        ("'quoted'", ["quoted"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([0, 0], [("0", 2)]),
        ([1, 5, 6], [("1", 1), ("2", 0), ("3", 0), ("4", 0), ("5-6", 2)]),
        ([8, 9, 12, 13], [("7-8", 1), ("9-12", 2), ("13-16", 1)]),
        ([10**6], [("16385-", 1)]),
    ],
)
def test_histogram(lengths, expected):
    assert histogram(np.array(lengths, np.int64)) == expected


def test_spread():
    assert spread(np.array([1, 2, 3, 10])) == (
        "least 1, median 2.5, mean 4.0, 95 % at most 10, most 10"
    )
    assert spread(np.array([])) == "none"


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [(10, 4, [0, 2, 5, 7]), (3, 9, [0, 1, 2]), (5, 1, [0]), (0, 3, []), (4, 0, [])],
)
def test_records_are_taken_evenly(count, limit, expected):
    assert evenly(count, limit).tolist() == expected
