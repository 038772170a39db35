"""The table of fill against T and M."""

import numpy as np
import pytest

from babyvlm_jax.data.lengths import Stops, join
from babyvlm_jax.runtime.errors import UserError
from data_prep.inspect import fill
from data_prep.inspect.fill import Fill, choose, slots, tabulate


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
        fill._pack(TENS, fill.Capacity(40, images), 0) for images in (2, 3, 4)
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
    assert fill.lines(table)[:2] == [
        "     T     M  tokens used  slots used     cut  left out",
        "    20     2       100.0%      100.0%   0.00%     0.00% **",
    ]
    assert fill.lines(table)[-1] == (
        "best: --config.data.seq_len=20 --config.data.max_images=2, 100.0% of the "
        "tokens are not padding"
    )
