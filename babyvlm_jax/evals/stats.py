"""Uncertainty of a mean over benchmark items."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000  # ours: the bounds move by less than .002 between seeds
LEVEL = 0.95


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the mean.

    A resample of n items is a multinomial draw over the distinct values, which is the
    same distribution without an n x resamples array, and which cannot depend on the
    order of the items. Items that are all alike give an interval of width 0.

    Args:
        values: one value per independent item (for memory: per dialogue).
        seed: of the resampling.

    Returns:
        Lower and upper bound.

    Raises:
        ValueError: there are no values.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
    """
    if not len(values):
        raise ValueError("no values: an interval needs at least one item")
    distinct, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    size = counts.sum()
    draws = np.random.default_rng(seed).multinomial(size, counts / size, RESAMPLES)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws @ distinct / size, [tail, 1 - tail])
    return float(low), float(high)
