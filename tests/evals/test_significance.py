"""Intervals and p-values keep what they promise, by simulation.

A small version of tests/benchmarks/significance.py. Of 500 intervals that hold with
probability .95, the share that does is within .03 of it in all but one of 400 cells.
"""

import itertools

import numpy as np
import pytest

from babyvlm_jax.evals.stats import FEWEST
from tests.benchmarks.significance import Cell, cells, coverage, draw, power, rejected
from tests.chosen import some

REPEATS, MARGIN = 500, 0.03


def simulated(cell, shares, correlations=(0.0, 0.3)):
    rng = np.random.default_rng(0)
    tied = correlations if cell.size > 1 else (0.0,)
    for share, correlation in itertools.product(shares, tied):
        yield share, draw(rng, cell.sizes, share, correlation, REPEATS)


@pytest.mark.parametrize("cell", some(cells(), list(cells())[::4]))
def test_coverage_and_size(cell):
    covered = []
    for share, sample in simulated(cell, (1 / 4, 1 / 2, 0.7)):
        covered.append(coverage(sample, share))
        assert rejected(sample, share) < 0.055
    assert min(covered) > 0.94 - MARGIN
    # with fewer, or with few items, no interval can hold as rarely as promised
    if cell.number >= 20 and cell.size > 1:
        assert 0.94 < np.mean(covered) < 0.97
        assert max(covered) < 0.97 + MARGIN


def test_a_guesser_in_one_or_two_recordings_is_not_above_chance():
    for number in (1, 2):
        for share, sample in simulated(Cell(number, 4, False), (1 / 2, 1 / 12)):
            assert rejected(sample, share) < 0.055
    assert FEWEST > 2


def test_power():
    assert power(0.0, REPEATS) > 0.99
    assert power(0.2, REPEATS) > 0.8 + MARGIN
