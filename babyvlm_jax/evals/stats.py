"""What a mean over benchmark items is worth: intervals, p-values, calibration.

Items from one recording show the same things in the same light, so they are drawn
together: a cluster is all items of a recording, and clusters are independent.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

RESAMPLES = 10_000  # ours: the bounds move by less than .002 between seeds
LEVEL = 0.95
NUM_BINS = 10  # ours: of the calibration error
_AT_ONCE = 500  # resamples drawn together, to bound memory


def bootstrap_interval(
    values: Sequence[float], clusters: Sequence[Hashable], seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the mean, drawing whole clusters.

    Clusters with the same sum and size are exchangeable, so a resample is a
    multinomial draw over the distinct (sum, size), which cannot depend on the order
    of the items. Clusters that are all alike give an interval of width 0, and so does
    a single one.

    Args:
        values: one value per item (for memory: per dialogue).
        clusters: the cluster of each item.
        seed: of the resampling.

    Returns:
        Lower and upper bound.

    Raises:
        ValueError: there are no values.

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 3.8.
    """
    means = resampled_means(values, clusters, seed)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def proportion_interval(
    values: Sequence[float], clusters: Sequence[Hashable], seed: int = 0
) -> tuple[float, float]:
    """Interval (95 %) of the mean of values in [0, 1].

    The bootstrap's, but where every value is 0, or every one 1, no resample is another.
    Then it is the exact interval of as many trials as there are clusters:

    proportion_interval([1.0, 1.0, 1.0], "abc") -> (0.292, 1.0), as 0.292 ** 3 = 0.025

    Args, raises:
        As `bootstrap_interval`.

    Source: Clopper and Pearson 1934, Biometrika 26.
    """
    if set(values) not in ({0}, {1}):
        return bootstrap_interval(values, clusters, seed)
    bound = ((1 - LEVEL) / 2) ** (1 / len(set(clusters)))
    return (bound, 1.0) if values[0] else (0.0, 1 - bound)


def resampled_means(
    values: Sequence[float], clusters: Sequence[Hashable], seed: int
) -> np.ndarray:
    """f64[RESAMPLES]: means over as many clusters, drawn with replacement."""
    distinct, counts = np.unique(
        cluster_sums(values, clusters), axis=0, return_counts=True
    )
    rng = np.random.default_rng(seed)
    number, shares = counts.sum(), counts / counts.sum()
    means = []
    for start in range(0, RESAMPLES, _AT_ONCE):
        draws = rng.multinomial(number, shares, min(_AT_ONCE, RESAMPLES - start))
        total, size = (draws @ distinct).T
        means.append(total / size)
    return np.concatenate(means)


def cluster_sums(values: Sequence[float], clusters: Sequence[Hashable]) -> np.ndarray:
    """f64[clusters, 2]: sum and number of the values of each cluster.

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("no values: an interval needs at least one item")
    sums: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        entry = sums.setdefault(cluster, [0.0, 0.0])
        entry[0] += value
        entry[1] += 1
    return np.array(list(sums.values()), np.float64)


def p_above_chance(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    chance: float,
    seed: int = 0,
) -> float:
    """One-sided p-value: how often guessing does at least as well.

    Right-or-wrong items, each a cluster of its own, get the exact binomial test, and so
    do clusters that are all right or all wrong. Else the resampled means are moved so
    that chance is their centre.

    Args:
        values, clusters, seed: as in `bootstrap_interval`.
        chance: expected mean of guessing.

    Returns:
        p in (0, 1].
    """
    values = np.asarray(values, np.float64)
    number, mean = len(set(clusters)), values.mean()
    alone = number == len(values) and np.isin(values, (0, 1)).all()
    if alone or mean in (0, 1):
        return binomial_tail(round(number * mean), number, chance)
    moved = resampled_means(values, clusters, seed) - mean + chance
    # a hair's breadth for sums that rounding has split
    return float((1 + (moved >= mean - 1e-12).sum()) / (1 + RESAMPLES))


def binomial_tail(right: int, number: int, chance: float) -> float:
    """P(at least `right` of `number`) when each is right with probability `chance`.

    binomial_tail(2, 2, 0.5) == 0.25
    """
    if not 0 < chance < 1:
        return 1.0 if right <= number * chance else 0.0
    counts = np.arange(number + 1)
    steps = np.log((number - counts[:-1]) / counts[1:] * chance / (1 - chance))
    logs = number * np.log1p(-chance) + np.concatenate([[0.0], np.cumsum(steps)])
    return float(min(1.0, np.exp(logs[right:]).sum()))


def p_paired(
    differences: Sequence[float], clusters: Sequence[Hashable], seed: int = 0
) -> float:
    """Two-sided p-value of the mean difference of two models on the same items.

    Were they alike, the sign of each cluster's sum would be a coin's: the share of
    coin throws that move the mean at least as far from 0.

    Args:
        differences: per item, the one model's value less the other's.
        clusters, seed: as in `bootstrap_interval`.

    Returns:
        p in (0, 1]; exact up to 12 clusters that differ, else from 10,000 throws.
    """
    sums = cluster_sums(differences, clusters)[:, 0]
    sums = sums[np.abs(sums) > 1e-12]
    bar = abs(sums.sum()) - 1e-9
    if len(sums) <= 12:
        throws = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((2 * throws - 1) @ sums) >= bar).mean())
    rng = np.random.default_rng(seed)
    hits = 0
    for start in range(0, RESAMPLES, _AT_ONCE):
        shape = (min(_AT_ONCE, RESAMPLES - start), len(sums))
        signs = 2.0 * rng.integers(0, 2, shape) - 1
        hits += int((np.abs(signs @ sums) >= bar).sum())
    return (1 + hits) / (1 + RESAMPLES)


def calibration(
    confidences: Sequence[float], correct: Sequence[bool]
) -> Mapping[str, float]:
    """How far a model's confidence in its choices can be believed.

    Confidences .95 and .85, the first right, the second wrong: two bins, off by .05
    and .85; the expected error is their mean, .45.

    Args:
        confidences: likelihood of each chosen answer among those offered.
        correct: whether it was right.

    Returns:
        `confidence` (mean), `accuracy`, and `error`, the mean over choices of the
        distance between confidence and accuracy in their tenth.

    Source: expected calibration error, Guo et al. 2017 (arXiv 1706.04599).
    """
    confidences = np.asarray(confidences, np.float64)
    right = np.asarray(correct, np.float64)
    bins = np.minimum((confidences * NUM_BINS).astype(int), NUM_BINS - 1)
    size = np.bincount(bins, minlength=NUM_BINS)
    gaps = np.bincount(bins, confidences - right, minlength=NUM_BINS)
    return {
        "confidence": float(confidences.mean()),
        "accuracy": float(right.mean()),
        "error": float(np.abs(gaps).sum() / size.sum()),
    }
