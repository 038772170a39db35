"""The table of fill against T and M."""

import numpy as np
import pytest

from babyvlm_jax.errors import UserError
from data_prep.inspect import fill
from data_prep.inspect.fill import Fill, choose, slots, tabulate

TENS = np.tile([[10, 1]], (100, 1))


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
    hundreds = np.tile([[100, 1]], (10, 1))
    assert slots(hundreds, 1000) == [9, 10, 11, 12]
    assert slots(np.tile([[100, 0]], (10, 1)), 1000) == [0]
    lumps = np.array([[100, 1], [900, 8]])
    assert min(slots(lumps, 1000)) == 8
    assert slots(lumps, 500) == [4, 5, 6]


def _row(tokens, images, filled, too_long=0.0):
    return Fill(tokens, images, filled, 0.5, too_long)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([_row(1, 1, 0.9), _row(1, 2, 0.95)], 1),
        ([_row(1, 1, 0.95), _row(1, 2, 0.951)], 0),
        ([_row(1, 1, 0.99, 0.1), _row(1, 2, 0.8)], 1),
        ([_row(2, 1, 0.95), _row(1, 5, 0.95)], 1),
    ],
)
def test_the_choice(table, expected):
    assert choose(table) is table[expected]


def test_records_that_fit_nowhere():
    with pytest.raises(UserError, match="no record fits a row of 5 tokens"):
        tabulate(TENS, [5])
    with pytest.raises(UserError, match="no record to pack"):
        tabulate(np.zeros((0, 2), np.int32))
    table = tabulate(np.concatenate([TENS, [[30, 1]]]), [20, 30])
    assert {one.tokens: one.too_long for one in table} == {20: 1 / 101, 30: 0.0}
    assert [one.tokens for one in table if one.best_of_all] == [30]


def test_the_table_as_text():
    table = tabulate(TENS, [20])
    assert fill.lines(table)[:2] == [
        "     T     M  tokens used  slots used  too long",
        "    20     2       100.0%      100.0%     0.00% **",
    ]
    assert fill.lines(table)[-1] == (
        "best: --config.data.seq_len=20 --config.data.max_images=2, 100.0% of the "
        "tokens are not padding"
    )
