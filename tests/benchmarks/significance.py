"""How often intervals and p-values of `evals.stats` keep what they promise.

    python tests/benchmarks/significance.py

Draws right-or-wrong items in clusters whose shares follow a beta distribution, so that
items of a cluster correlate, and prints for each number and size of clusters: how many
95 % intervals hold the true share, and how many guessers get a p-value below .05. The
table is in docs/evaluation.md; it takes some minutes on one core.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.stats import Sample, interval, p_above

NUMBERS = (3, 6, 20, 100)  # of clusters
SIZES = (1, 4, 15)  # of a cluster; unequal ones have this mean or one near to it
CORRELATIONS = (0.0, 0.1, 0.3)
CHANCES = (1 / 2, 1 / 3, 1 / 4)
SHARES = (1 / 4, 1 / 2, 0.7)
EXTREMES = (1 / 12, 0.9)
_UNEQUAL = {
    (3, 4): (1, 3, 8),
    (3, 15): (5, 10, 30),
    (6, 4): (1, 1, 2, 3, 6, 11),
    (6, 15): (3, 5, 8, 14, 20, 40),
    4: (1, 2, 3, 4, 10),
    15: (3, 6, 10, 16, 40),
}
REPEATS = 4_000


class Cell(NamedTuple):
    """A design: number and mean size of the clusters, and whether sizes differ."""

    number: int
    size: int
    unequal: bool

    @property
    def sizes(self) -> np.ndarray:
        """i64[G]"""
        if not self.unequal:
            return np.full(self.number, self.size)
        found = _UNEQUAL.get((self.number, self.size), _UNEQUAL[self.size])
        return np.resize(found, self.number)


def cells() -> Iterator[Cell]:
    """All designs; clusters of one item cannot differ in size."""
    for number, size, unequal in itertools.product(NUMBERS, SIZES, (False, True)):
        if size > 1 or not unequal:
            yield Cell(number, size, unequal)


def draw(rng, sizes, share, correlation, repeats) -> Sample:
    """`repeats` samples of right-or-wrong items.

    Args:
        rng: numpy's generator.
        sizes: i64[G] items of each cluster.
        share: expected share of right items.
        correlation: of two items of a cluster.
        repeats: number of samples.
    """
    shape = (repeats, len(sizes))
    shares = np.full(shape, share)
    if correlation:
        rest = (1 - correlation) / correlation
        shares = rng.beta(share * rest, (1 - share) * rest, shape)
    sums = rng.binomial(sizes, shares).astype(float)
    return Sample(sums, sizes.astype(float), sums.sum(-1))


def coverage(sample: Sample, share: float) -> float:
    """How many of the intervals hold the true share."""
    low, high = interval(sample)
    return float(((low <= share + 1e-12) & (share - 1e-12 <= high)).mean())


def rejected(sample: Sample, chance: float) -> float:
    """How many of the p-values are below .05."""
    return float((p_above(sample, chance) < 0.05).mean())


def make_rows(repeats: int = REPEATS) -> list[tuple[str, ...]]:
    """The table: least and most coverage over correlations and shares, most false."""
    rng = np.random.default_rng(0)
    rows = [("clusters", "items", "sizes", "coverage", "of 8 or 90 %", "size", "")]
    for cell in cells():

        def over(shares, measure, cell=cell):
            designs = itertools.product(CORRELATIONS if cell.size > 1 else (0,), shares)
            return [
                measure(draw(rng, cell.sizes, share, tied, repeats), share)
                for tied, share in designs
            ]

        covered, extreme = over(SHARES, coverage), over(EXTREMES, coverage)
        false = over(CHANCES, rejected)
        rows.append(
            (
                str(cell.number),
                str(cell.size),
                "unequal" if cell.unequal else "equal",
                tables.interval(min(covered), max(covered)),
                tables.interval(min(extreme), max(extreme)),
                tables.percent(max(false)),
                "",
            )
        )
    return rows


def power(correlation: float, repeats: int = REPEATS) -> float:
    """Power for 70 % right against chance 50 %, 20 clusters of 10 items."""
    rng = np.random.default_rng(1)
    return rejected(draw(rng, np.full(20, 10), 0.7, correlation, repeats), 0.5)


if __name__ == "__main__":
    print(tables.layout(make_rows()))
    for tied in CORRELATIONS:
        print(f"power, correlation {tied}: {tables.percent(power(tied))}")
