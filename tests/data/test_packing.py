"""The plan: every record once, rows never over capacity, a pure function."""

import numpy as np
import pytest

from babyvlm_jax.data import packing
from babyvlm_jax.data.packing import Capacity, plan
from babyvlm_jax.errors import UserError

RNG = np.random.default_rng(0)
LENGTHS = np.stack([RNG.integers(3, 60, 3000), RNG.integers(0, 5, 3000)], axis=1)
CAPACITY = Capacity(tokens=128, images=9)


def test_three_records_in_two_rows():
    lengths = np.array([[6, 1], [4, 1], [9, 0]])
    made = plan(lengths, Capacity(10, 2), seed=0, epoch=0)
    assert sorted(sorted(row.tolist()) for row in made.rows) == [[0, 1], [2]]
    assert (made.fill_tokens, made.fill_images) == (19 / 20, 2 / 4)


def test_images_bound_rows_too():
    made = plan(np.array([[1, 2], [1, 2], [1, 1]]), Capacity(10, 3), 0, 0)
    assert sorted(len(row) for row in made.rows) == [1, 2]


def test_text_rows_have_no_image_slots():
    made = plan(np.array([[5, 0], [5, 0]]), Capacity(10, 0), 0, 0)
    assert [len(row) for row in made.rows] == [2]


def test_every_record_once_and_none_over_capacity():
    made = plan(LENGTHS, CAPACITY, 0, 0)
    assert sorted(np.concatenate(made.rows).tolist()) == list(range(3000))
    for row in made.rows:
        assert (LENGTHS[row].sum(axis=0) <= CAPACITY).all()
    images = LENGTHS[:, 1].sum() / (9 * len(made.rows))
    assert made.fill_images == pytest.approx(images)
    assert made.fill_tokens > 0.98


def test_a_pure_function_of_seed_and_epoch():
    def order(seed, epoch):
        made = plan(LENGTHS[:300], CAPACITY, seed, epoch)
        return [row.tolist() for row in made.rows]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_records_that_are_too_long_are_told():
    made = plan(np.array([[11, 0], [3, 0], [3, 4]]), Capacity(10, 2), 0, 0)
    assert [row.tolist() for row in made.rows] == [[1]]
    assert made.too_long.tolist() == [0, 2]


def test_no_record_fits():
    with pytest.raises(UserError, match=r"seq_len=12 and max_images=7"):
        plan(np.array([[11, 7], [12, 3]]), Capacity(10, 2), 0, 0)
    with pytest.raises(UserError, match="no record"):
        plan(np.zeros((0, 2), int), Capacity(10, 2), 0, 0)


def test_fits():
    lengths = np.array([[10, 2], [11, 2], [10, 3]])
    assert packing.fits(lengths, Capacity(10, 2)).tolist() == [True, False, False]
