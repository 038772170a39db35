"""Intervals and p-values by hand; by simulation they keep what they promise."""

import itertools
import math

import numpy as np
import pytest

from babyvlm_jax.evals.stats import (
    FEWEST,
    calibration,
    gather,
    holm,
    interval,
    p_above,
    p_of_guesses,
    paired,
)
from tests.benchmarks.significance import Cell, cells, coverage, draw, power, rejected
from tests.chosen import some


def alone(values):
    return list(range(len(values)))


def bounds(values, clusters):
    return tuple(map(float, interval(gather(values, clusters))))


def p_of(values, clusters, chance):
    return float(p_above(gather(values, clusters), chance))


def right(number, of):
    return [1.0] * number + [0.0] * (of - number)


def test_values_are_summed_by_cluster():
    sample = gather([1, 1, 0.5, 0], "aaba")
    assert sample.sums.tolist() == [2, 0.5]
    assert sample.sizes.tolist() == [3, 1]
    assert sample.squares == 2.25
    with pytest.raises(ValueError, match="at least one item"):
        gather([], [])


def test_many_items_have_the_normal_interval():
    values = right(500, 1000)
    half = 1.96 * 0.5 / np.sqrt(1000)
    assert bounds(values, alone(values)) == pytest.approx(
        (0.5 - half, 0.5 + half), abs=1e-3
    )
    # ten recordings, each all right or all wrong: Student's t of ten values
    low, high = bounds(values, [number // 100 for number in range(1000)])
    ratio = 2.262**2 / 9  # t squared over the variance's divisor
    assert high - low == pytest.approx(math.sqrt(ratio / (1 + ratio)), abs=1e-3)
    assert low + high == pytest.approx(1)


@pytest.mark.parametrize(
    ("values", "clusters", "expected"),
    [
        # right or wrong: exact, a recording that is all right counts once
        ([1.0] * 3, "abc", (0.025 ** (1 / 3), 1)),
        ([1.0] * 12, "abcabcabcabc", (0.025 ** (1 / 3), 1)),
        ([0.0] * 3, "aab", (0, 1 - 0.025**0.5)),
        # all alike, but neither 0 nor 1: of two recordings, one can be anything
        ([0.5] * 4, "aabb", (0.5 * 0.025**0.5, 1 - 0.5 * 0.025**0.5)),
        # one recording, whatever is in it
        (right(3, 10), "a" * 10, (0, 1)),
        ([1.0] * 10, "a" * 10, (0, 1)),
        # mid-P: P(X > 2) + P(X = 2) / 2 = .025 at .1320
        ([1.0, 1.0, 0.0], "abc", (0.1320, 0.9831)),
    ],
)
def test_small_cases(values, clusters, expected):
    assert bounds(values, clusters) == pytest.approx(expected, abs=5e-4)


def test_alike_recordings_are_not_taken_for_certain():
    """Six recordings of ten, each with three right: not 30.0 to 30.0."""
    values, clusters = right(3, 10) * 6, [n // 10 for n in range(60)]
    low, high = bounds(values, clusters)
    independent = 1.96 * math.sqrt(0.3 * 0.7 / 60)
    assert high - low > 0.99 * independent
    assert p_of(values, clusters, 0.25) > 0.4


def test_order_changes_nothing():
    rng = np.random.default_rng(0)
    values, clusters = rng.random(40), rng.integers(0, 9, 40)
    again = rng.permutation(40)
    assert bounds(values, clusters) == pytest.approx(
        bounds(values[again], clusters[again])
    )


def test_p_is_twice_the_exact_tail_where_items_stand_alone():
    tail = sum(math.comb(200, k) * 0.25**k * 0.75 ** (200 - k) for k in range(65, 201))
    cases = (
        ((right(3, 4), "abcd", 0.5), 2 * 5 / 16),
        (([1.0] * 5, "aaabb", 0.5), 2 * 0.25),
        ((right(65, 200), range(200), 0.25), 2 * tail),
        ((right(50, 200), range(200), 0.25), 1),
        (([0.0] * 5, "aaabb", 0.5), 1),
        ((right(3, 10), "a" * 10, 1 / 12), 1),
    )
    for case, expected in cases:
        assert p_of(*case) == pytest.approx(expected)
    assert p_of(right(1, 20), range(20), 0.0) < 1e-9


def test_p_and_interval_agree():
    """Below .05 the interval is above chance; p at the lower bound is .05 at least."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        clusters = rng.integers(0, rng.integers(6, 20), 40)
        values = (rng.random(40) < rng.random()) * rng.choice([1, 0.5], 40)
        low, _ = bounds(values, clusters)
        if low > 0:
            assert p_of(values, clusters, low) >= 0.05 - 1e-9
            assert p_of(values, clusters, low * 1.001) > 0.05


def test_p_of_recordings_is_larger():
    values = right(65, 100)
    by_item = p_of(values, alone(values), 0.5)
    by_recording = p_of(values, [n // 10 for n in range(100)], 0.5)
    assert by_item < 0.01 < 0.1 < by_recording


def test_p_of_simulated_guessers():
    assert p_of_guesses(0.5, np.array([0.1, 0.5 + 1e-12, 0.7, 0.2])) == 1
    assert p_of_guesses(0.9, np.zeros(99)) == pytest.approx(2 / 100)


def test_paired_test_throws_signs():
    cases = (
        # three of five differ, all one way: of 8 throws of their signs, 2 go as far
        (([1, 1, 1, 0, 0], "abcde"), 2 / 8),
        (([1] * 8 + [0] * 2, range(10)), 2 / 2**8),
        (([1, 1, 1, 1], "aabb"), 2 / 4),
    )
    for case, p in cases:
        assert paired(*case)[2] == pytest.approx(p)
    assert paired([1, -1], "ab") == paired([1.0] * 20, "a" * 20) == (-1, 1, 1)
    # nothing differs: one in ten may yet, with probability .975 fewer than .31
    found = paired([0.0] * 10, range(10))
    assert found == pytest.approx((-0.3085, 0.3085, 1), abs=1e-4)


def test_paired_interval_and_p_agree():
    rng = np.random.default_rng(0)
    seen = set()
    for number in (5, FEWEST, 12, 13, 40):
        for shift in (0, 0.1, 0.3):
            apart = rng.choice([-1, 0, 1], number, p=[0.3 - shift, 0.4, 0.3 + shift])
            low, high, p = paired(apart, range(number))
            assert low <= apart.mean() <= high
            assert (p < 0.05) == (not low <= 1e-12 <= high + 2e-12), (number, shift)
            seen.add(p < 0.05)
    assert seen == {True, False}
    better = np.array([1] * 60 + [-1] * 20 + [0] * 220)
    low, high, p = paired(better, alone(better))
    assert p < 0.001
    half = 1.97 * better.std() / np.sqrt(300)
    mean = better.mean()
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.006)


def test_holm():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5})
    assert found == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.5})
    assert list(found) == ["a", "b", "c", "d"]
    assert holm({}) == {}


def test_calibration():
    found = calibration([0.95, 0.85], [True, False])
    assert found["error"] == pytest.approx(0.45)
    assert (found["confidence"], found["accuracy"]) == pytest.approx((0.9, 0.5))
    assert calibration([1.0, 1.0], [True, True])["error"] == 0.0


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
