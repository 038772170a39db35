"""Counts, lengths and words."""

import numpy as np
import pytest

from babyvlm_jax.data.lengths import Stops, join
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.runtime.errors import UserError
from data_prep.inspect import splits
from data_prep.inspect.splits import (
    Fill,
    choose,
    evenly,
    gather,
    histogram,
    slots,
    spread,
    tabulate,
    words,
)

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


def stops(sizes, words=1):
    """Records that may be cut nowhere."""
    sizes = np.array(sizes).reshape(-1, 2)
    return Stops(np.arange(len(sizes)), sizes, np.full(len(sizes), words))


TENS = stops([[10, 1]] * 100)


def test_records_that_fit_exactly_leave_no_padding():
    table = tabulate(TENS, [20, 25])
    by_size = {(one.tokens, one.images): one for one in table}
    assert by_size[20, 2].fill_tokens == 1.0 and by_size[20, 2].fill_images == 1.0
    assert by_size[25, 2].fill_tokens == 0.8
    assert by_size[25, 3].fill_images == pytest.approx(2 / 3)
    best = [(one.tokens, one.images) for one in table if one.best]
    assert best == [(20, 2), (25, 2)]
    assert [one.tokens for one in table if one.best_of_all] == [20]


def test_too_few_slots_waste_tokens():
    (two, three, four) = [
        splits._pack(TENS, splits.Capacity(40, images), 0) for images in (2, 3, 4)
    ]
    assert two.fill_tokens == 0.5 and four.fill_tokens == 1.0
    assert three.fill_tokens == pytest.approx(1000 / (34 * 40))


def test_slots_to_try():
    hundreds = stops([[100, 1]] * 10)
    assert slots(hundreds, 1000) == [9, 10, 11, 12]
    assert slots(stops([[100, 0]] * 10), 1000) == [0]
    lumps = stops([[100, 1], [900, 8]])
    assert min(slots(lumps, 1000)) == 8
    assert slots(lumps, 500) == [4, 5, 6]


def _row(tokens, images, filled, left_out=0.0, cut=0.0):
    return Fill(tokens, images, filled, 0.5, cut, left_out)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([_row(1, 1, 0.9), _row(1, 2, 0.95)], 1),
        ([_row(1, 1, 0.95), _row(1, 2, 0.951)], 0),
        ([_row(1, 1, 0.99, 0.1), _row(1, 2, 0.8)], 1),
        ([_row(1, 1, 0.99, cut=0.1), _row(1, 2, 0.8)], 1),
        ([_row(2, 1, 0.95), _row(1, 5, 0.95)], 1),
    ],
)
def test_the_choice(table, expected):
    assert choose(table) is table[expected]


def test_records_that_fit_nowhere():
    with pytest.raises(UserError, match="no record fits a row of 5 tokens"):
        tabulate(TENS, [5])
    with pytest.raises(UserError, match="no record to pack"):
        tabulate(stops([]))
    table = tabulate(join([TENS, stops([[30, 1]])]), [20, 30])
    assert {one.tokens: one.left_out for one in table} == {20: 1 / 101, 30: 0.0}
    assert [one.tokens for one in table if one.best_of_all] == [30]


def test_records_that_are_cut_are_counted_as_they_are_laid():
    """Of two turns each, 10 and 22 tokens long: rows of 20 hold the first turns."""
    long = Stops(np.array([0]), np.array([[10, 1], [22, 2]]), np.array([1, 2]))
    table = tabulate(join([TENS, long]), [20, 30])
    found = {(one.tokens, one.images): (one.cut, one.left_out) for one in table}
    assert found[20, 2] == (1 / 101, 0.0) and found[30, 3] == (0.0, 0.0)
    short = next(one for one in table if (one.tokens, one.images) == (20, 2))
    assert short.fill_tokens == pytest.approx(1010 / (51 * 20))
    assert [one.tokens for one in table if one.best_of_all] == [30]


def test_records_that_teach_nothing_are_left_out():
    table = tabulate(join([TENS, stops([[10, 1]], words=0)]), [20])
    assert table[0].left_out == 1 / 101 and table[0].fill_tokens == 1.0
    with pytest.raises(UserError, match="no answer has a word"):
        tabulate(stops([[10, 1]], words=0), [20])


def test_the_table_as_text():
    table = tabulate(TENS, [20])
    assert splits.fill_lines(table)[:2] == [
        "     T     M  tokens used  slots used     cut  left out",
        "    20     2       100.0%      100.0%   0.00%     0.00% **",
    ]
    assert splits.fill_lines(table)[-1] == (
        "best: --config.data.seq_len=20 --config.data.max_images=2, 100.0% of the "
        "tokens are not padding"
    )
