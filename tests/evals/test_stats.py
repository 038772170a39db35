import math

import numpy as np
import pytest

from babyvlm_jax.evals.stats import (
    binomial_tail,
    bootstrap_interval,
    calibration,
    cluster_sums,
    p_above_chance,
    p_paired,
    proportion_interval,
)


def alone(values):
    return list(range(len(values)))


def test_matches_the_normal_approximation_for_many_items():
    values = [1.0] * 500 + [0.0] * 500
    low, high = bootstrap_interval(values, alone(values))
    half = 1.96 * 0.5 / np.sqrt(1000)
    # .003: the bounds are multiples of 1/1000, from 10,000 resamples
    assert low == pytest.approx(0.5 - half, abs=0.003)
    assert high == pytest.approx(0.5 + half, abs=0.003)


def test_exact_small_case():
    # mean of two draws from {0, 1}: 0, 1/2, 1 with weights 1/4, 1/2, 1/4
    assert bootstrap_interval([0.0, 1.0], "ab") == (0.0, 1.0)


def test_seed_decides_and_order_does_not():
    values = np.sqrt(np.arange(40)).tolist()
    names = alone(values)
    forward = bootstrap_interval(values, names, 1)
    assert forward == bootstrap_interval(values[::-1], names[::-1], 1)
    assert forward != bootstrap_interval(values, names, 2)


def test_items_of_a_recording_are_drawn_together():
    values = [1.0] * 500 + [0.0] * 500
    # ten recordings, each all right or all wrong: as uncertain as ten items
    names = [number // 100 for number in range(1000)]
    ten = bootstrap_interval([1.0] * 5 + [0.0] * 5, alone(range(10)))
    assert bootstrap_interval(values, names) == ten


def test_recordings_weigh_as_many_items_as_they_have():
    # draws of (a, a), (a, b), (b, b) with a = 3 right, b = 1 wrong: 1, 3/4, 0
    low, high = bootstrap_interval([1, 1, 1, 0], "aaab")
    assert (low, high) == (0.0, 1.0)
    assert cluster_sums([1, 1, 1, 0], "aaab").tolist() == [[3, 3], [0, 1]]


def test_where_all_are_right_or_wrong_the_interval_is_exact():
    assert proportion_interval([1.0] * 3, "abc") == pytest.approx((0.025 ** (1 / 3), 1))
    assert proportion_interval([0.0] * 3, "aab") == pytest.approx((0, 1 - 0.025**0.5))
    assert proportion_interval([1.0, 0.0], "ab") == bootstrap_interval([1.0, 0.0], "ab")
    # two recordings that are all right are two throws of a coin, not five
    assert p_above_chance([1.0] * 5, "aaabb", 0.5) == pytest.approx(0.25)
    assert p_above_chance([0.0] * 5, "aaabb", 0.5) == 1


def test_alike_items_have_no_width():
    assert bootstrap_interval([1.0, 1.0, 1.0], "abc") == (1.0, 1.0)


def test_no_items():
    with pytest.raises(ValueError, match="at least one item"):
        bootstrap_interval([], [])


def test_binomial_tail():
    assert binomial_tail(2, 2, 0.5) == pytest.approx(0.25)
    assert binomial_tail(0, 5, 0.3) == pytest.approx(1.0)
    assert binomial_tail(3, 4, 0.25) == pytest.approx(4 * 0.75 / 64 + 1 / 256)
    by_hand = sum(
        math.comb(200, k) * 0.25**k * 0.75 ** (200 - k) for k in range(60, 201)
    )
    assert binomial_tail(60, 200, 0.25) == pytest.approx(by_hand)


def test_p_of_items_that_stand_alone_is_exact():
    values = [1.0] * 3 + [0.0]
    assert p_above_chance(values, "abcd", 0.5) == pytest.approx(5 / 16)


def test_p_of_clusters_is_larger():
    values = [1.0] * 70 + [0.0] * 30
    by_item = p_above_chance(values, alone(values), 0.5)
    by_recording = p_above_chance(values, [n // 10 for n in range(100)], 0.5)
    assert by_item < 0.001 < by_recording < 0.2


def test_p_of_guessing_is_not_small():
    values = [0.4, 0.6, 0.5, 0.5] * 10
    assert p_above_chance(values, alone(values), 0.5) == pytest.approx(0.5, abs=0.1)


def test_paired_test_is_the_exact_sign_test_for_few_items():
    # three differ, all one way: of 8 throws of their signs, 2 go as far
    assert p_paired([1, 1, 1, 0, 0], "abcde") == pytest.approx(2 / 8)
    assert p_paired([1, -1], "ab") == 1.0
    assert p_paired([0.0, 0.0], "ab") == 1.0
    assert p_paired([1, 1, 1, 1], "aabb") == pytest.approx(2 / 4)


def test_paired_test_of_many_items():
    rng = np.random.default_rng(0)
    same = rng.integers(-1, 2, 300)
    assert p_paired(same, alone(same)) > 0.05
    better = np.array([1] * 60 + [-1] * 20 + [0] * 220)
    assert p_paired(better, alone(better)) < 0.001


def test_calibration():
    found = calibration([0.95, 0.85], [True, False])
    assert found["error"] == pytest.approx(0.45)
    assert (found["confidence"], found["accuracy"]) == pytest.approx((0.9, 0.5))
    assert calibration([1.0, 1.0], [True, True])["error"] == 0.0
