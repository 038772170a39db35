import numpy as np
import pytest

from babyvlm_jax.evals.stats import bootstrap_interval


def test_matches_the_normal_approximation_for_many_items():
    low, high = bootstrap_interval([1.0] * 500 + [0.0] * 500)
    half = 1.96 * 0.5 / np.sqrt(1000)
    # .003: the bounds are multiples of 1/1000, from 10,000 resamples
    assert low == pytest.approx(0.5 - half, abs=0.003)
    assert high == pytest.approx(0.5 + half, abs=0.003)


def test_exact_small_case():
    # mean of two draws from {0, 1}: 0, 1/2, 1 with weights 1/4, 1/2, 1/4
    assert bootstrap_interval([0.0, 1.0]) == (0.0, 1.0)


def test_seed_decides_and_order_does_not():
    values = np.sqrt(np.arange(40)).tolist()
    assert bootstrap_interval(values, 1) == bootstrap_interval(values[::-1], 1)
    assert bootstrap_interval(values, 1) != bootstrap_interval(values, 2)


def test_alike_items_have_no_width():
    assert bootstrap_interval([1.0, 1.0, 1.0]) == (1.0, 1.0)


def test_more_items_narrow_the_interval():
    widths = [np.diff(bootstrap_interval([0.0, 1.0] * n))[0] for n in (10, 100, 1000)]
    assert widths[0] > widths[1] > widths[2]


def test_no_items():
    with pytest.raises(ValueError, match="at least one item"):
        bootstrap_interval([])
