"""What a mean over benchmark items is worth: intervals, p-values, calibration.

Items from one recording show the same things in the same light, so a cluster is all
items of a recording, and only clusters are independent. How well the intervals and
p-values keep what they promise is measured by tests/benchmarks/significance.py; its
table is in docs/evaluation.md. Axes: G clusters.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
FEWEST = 6  # clusters: of five, all differ in one direction by chance in 2 of 2**5
NUM_BINS = 10  # ours: of the calibration error
THROWS = 10_000  # ours: a p-value of .05 moves by less than .005 between seeds
_SAME = 1e-12  # a variance below this is that of rounding


class Sample(NamedTuple):
    """Values in [0, 1], summed by cluster; leading axes are independent samples.

    Attributes:
        sums: f64[..., G] of the values of each cluster.
        sizes: f64[G] number of values in each cluster.
        squares: f64[...] sum of the squares of all values.
    """

    sums: np.ndarray
    sizes: np.ndarray
    squares: np.ndarray

    @property
    def is_exact(self) -> bool:
        """Whether every item is right or wrong and a cluster of its own."""
        return bool((self.sizes == 1).all() and np.isin(self.sums, (0, 1)).all())


def gather(values: Sequence[float], clusters: Sequence[Hashable]) -> Sample:
    """Sums values by cluster.

    Args:
        values: one value per item (for memory: per dialogue).
        clusters: the cluster of each item.

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("no values: an interval needs at least one item")
    places: dict[Hashable, int] = {}
    index = [places.setdefault(one, len(places)) for one in clusters]
    values = np.asarray(values, np.float64)
    sizes = np.bincount(index).astype(np.float64)
    return Sample(np.bincount(index, values), sizes, np.square(values).sum())


class _Spread(NamedTuple):
    """Mean, its standard error by clusters and by items alone, degrees of freedom."""

    mean: np.ndarray
    error: np.ndarray
    lone: np.ndarray
    freedom: np.ndarray


def _spread(sample: Sample) -> _Spread:
    """Cluster-robust standard error of the mean (CR2), f64[...] each.

    The degrees of freedom are the smaller of two Satterthwaite values. The first
    follows from the sizes alone, G - 1 for equal ones (Bell and McCaffrey 2002). The
    second takes the variance of each squared residual to be its fourth moment, which is
    the most that it can be, so that a few odd clusters widen the interval.
    """
    number = sample.sizes.sum()
    share = sample.sizes / number
    mean = sample.sums.sum(-1) / number
    with np.errstate(divide="ignore", invalid="ignore"):  # one cluster has no spread
        off = (sample.sums - mean[..., None] * sample.sizes) / np.sqrt(1 - share)
        ratio = share**2 / (1 - share)
        by_size = 1 / ((share**2).sum() + ratio.sum() ** 2 - (ratio**2).sum())
    squares, fourth = (off**2).sum(-1), (off**4).sum(-1)
    by_values = np.divide(
        2 * squares**2, fourth, out=np.full_like(squares, np.inf), where=fourth > _SAME
    )
    lone = np.sqrt(np.maximum(sample.squares / number - mean**2, 0) / number)
    freedom = np.clip(by_values, 1, by_size)
    return _Spread(mean, np.sqrt(squares) / number, lone, freedom)


def interval(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Interval (95 %) of the mean: f64[...] lower and upper bounds.

    - One cluster of several items tells nothing of others: 0 to 1.
    - Right-or-wrong items that are clusters of their own: mid-P, at 0 and 1 exact.
    - Values that are all the same: a share of 1 - .025 ** (1 / G) of the clusters may
      differ, by any amount. Three right of three: (.292, 1), as .292 ** 3 = .025.
    - Else Wilson's, with the spread of the clusters and Student's t; at least half as
      wide as if all items were independent.

    Source: mid-P: Lancaster 1961; exact: Clopper and Pearson 1934; Wilson 1927.
    """
    if len(sample.sizes) == 1 < sample.sizes[0]:
        whole = np.zeros(sample.sums.shape[:-1])
        return whole, whole + 1
    if sample.is_exact:
        number, right = len(sample.sizes), sample.sums.sum(-1)
        return 1 - _mid_p(number - right, number), _mid_p(right, number)
    spread = _spread(sample)
    mean, same = spread.mean, spread.lone**2 < _SAME
    variance = mean * (1 - mean)
    half = np.maximum(
        special.stdtrit(spread.freedom, 1 - TAIL) * spread.error,
        special.ndtri(1 - TAIL) * spread.lone / 2,
    )
    ratio = half**2 / np.where(same, 1, variance)
    middle = (mean + ratio / 2) / (1 + ratio)
    reach = np.sqrt(variance * ratio + ratio**2 / 4) / (1 + ratio)
    kept = TAIL ** (1 / len(sample.sizes))
    low = np.where(same, mean * kept, middle - reach)
    high = np.where(same, 1 - (1 - mean) * kept, middle + reach)
    return low, high


def _mid_p(right, number) -> np.ndarray:
    """Upper bound of the share of `right` of `number`; exact where all are wrong."""
    low, high = right / number, np.ones_like(right)
    for _ in range(40):  # halvings
        middle = (low + high) / 2
        at_most = special.bdtr(right, number, middle)
        fewer = special.bdtr(np.maximum(right - 1, 0), number, middle)
        is_above = np.where(right == 0, at_most, (at_most + fewer) / 2) < TAIL
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    return high


def p_above(sample: Sample, chance: float) -> np.ndarray:
    """P-value of a mean above chance, f64[...]: twice that of guessing as well.

    It is doubled to agree with the two-sided interval: below .05 the interval lies
    above chance. The larger of two: by the spread of the clusters, as in `interval`,
    and as if items were independent guesses (exact where they are right or wrong).
    The second alone where each is a cluster of its own.

    Args:
        sample: the values.
        chance: expected mean of guessing.

    Returns:
        p in [0, 1]; 1 for one cluster of several items.
    """
    number, count = int(sample.sizes.sum()), len(sample.sizes)
    total = sample.sums.sum(-1)
    if count == 1 < number:
        return np.ones_like(total)
    alone = special.bdtrc(np.maximum(total - 1, 0), number, chance)
    alone = np.where(total == 0, 1.0, alone)
    if sample.is_exact:
        return np.minimum(2 * alone, 1)
    spread = _spread(sample)
    mean, same = spread.mean, spread.lone**2 < _SAME
    chance = np.clip(chance, _SAME, 1 - _SAME)
    # the spread as it would be at chance, as in Wilson's interval
    apart = (mean - chance) * np.sqrt(mean * (1 - mean) / (chance * (1 - chance)))
    with np.errstate(divide="ignore", invalid="ignore"):
        together = special.stdtr(spread.freedom, -apart / spread.error)
        if not (sample.squares == total).all():
            alone = special.ndtr(-apart / spread.lone)
    all_same = (chance / np.maximum(mean, chance)) ** count
    tail = np.where(same, all_same, np.fmax(alone, together))
    return np.minimum(np.where(mean <= chance, 1.0, 2 * tail), 1)


def p_of_guesses(value: float, guesses: np.ndarray) -> float:
    """Twice the share of simulated guessers, f64[draws] of means, that do as well."""
    # a hair's breadth for sums that rounding has split
    hits = (guesses >= value - 1e-9).sum()
    return float(min(1.0, 2 * (1 + hits) / (1 + len(guesses))))


def paired(
    differences: Sequence[float], clusters: Sequence[Hashable], seed: int = 0
) -> tuple[float, float, float]:
    """Compares two models on the same items.

    Were they alike, the sign of each cluster's sum would be a coin's. Each throw of
    signs splits the clusters into two parts; a difference between the means of the two
    parts is one that this throw does not refute. Up to 12 clusters all throws are made,
    else 10,000.

    Args:
        differences: per item, the one model's value less the other's, in [-1, 1].
        clusters: the cluster of each item.
        seed: of the throws.

    Returns:
        Lower and upper bound of the 95 % interval of the mean difference, and the
        two-sided p-value of no difference: below .05 the interval is without 0. With
        fewer than six clusters, no p-value is below .05 and the interval is -1 to 1.

    Source: Hartigan 1969, J. Am. Stat. Assoc. 64 (typical values by random subsets).
    """
    sample = gather(differences, clusters)
    count, number = len(sample.sizes), sample.sizes.sum()
    if not sample.squares:  # no item differs: as for values that are all the same
        bound = 1 - TAIL ** (1 / count)
        return -bound, bound, 1.0
    if count <= 12:
        signs = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        # the first throw is the one observed: no p-value is 0
        signs = np.random.default_rng(seed).random((THROWS + 1, count)) < 0.5
        signs[0] = True
    sums, sizes = signs @ sample.sums, signs @ sample.sizes
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.stack([sums / sizes, (sample.sums.sum() - sums) / (number - sizes)])
    ends = np.sort(np.where(np.isnan(parts), -np.inf, parts), axis=0)
    ends[1, np.isinf(ends[0])] = np.inf
    # bounds, and p-value of zero, of the differences that are not refuted
    rank = int(np.floor((1 - LEVEL) * ends.shape[1] + 1e-9))
    low = np.sort(ends[0])[rank]
    high = np.sort(ends[1])[-1 - rank]
    held = (ends[0] <= 1e-12) & (ends[1] >= -1e-12)
    return float(max(low, -1)), float(min(high, 1)), float(held.mean())


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for their number, so that any false alarm is at most as rare.

    holm({"a": .01, "b": .04, "c": .03}) -> a: .03, c: .06, b: .06

    Source: Holm 1979, Scand. J. Statist. 6.
    """
    found, least = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[name]))
        found[name] = least
    return {name: found[name] for name in p_values}


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
