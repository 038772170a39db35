"""Scores that differ by a rounding error count as equal."""

import numpy as np
import pytest

from babyvlm_jax.ties import best_places


@pytest.mark.parametrize(
    "values, places",
    [
        ([0.2, 0.5, 0.1], [1]),
        ([0.5, 0.5 - 1e-7, 0.1], [0, 1]),
        ([-300.001, -300.0, -301.0], [0, 1]),
        ([-300.1, -300.0], [1]),
        ([-np.inf, -2.0], [1]),
        ([-np.inf, -np.inf], [0, 1]),
        ([np.nan, 0.1], [1]),
        ([np.nan, np.nan], [0, 1]),
        ([7.0], [0]),
    ],
)
def test_the_best(values, places):
    assert best_places(values) == places


def test_a_rounding_error_changes_no_choice():
    """Half of the rows have two best scores that are equal in exact arithmetic."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(500, 4)).astype(np.float32)
    scores[:250, 3] = scores[:250, 1]
    nudged = scores * (1 + rng.choice([-1, 0, 1], scores.shape) * np.float32(2**-23))
    assert list(map(best_places, scores)) == list(map(best_places, nudged))
