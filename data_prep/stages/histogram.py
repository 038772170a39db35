"""Counts of similarities, added up over the parts of a split, and shown as a table."""

from collections.abc import Mapping, Sequence

import numpy as np

WIDTH = 0.01  # of a bin; cosines are -1 to 1
BINS = 200
BAR = 40  # characters of the longest bar


def count(scores: np.ndarray) -> dict[str, int]:
    """Bin -> number of f32[N] cosines in it; bin 120 is 0.20 to 0.21.

    The upper end belongs to the bin, so that what is above a threshold of 0.2 is
    exactly what is in the bins from 120 on.
    """
    bins = np.ceil((np.asarray(scores, np.float64) + 1) / WIDTH - 1e-9).astype(int) - 1
    bins = np.clip(bins, 0, BINS - 1)
    numbers, counts = np.unique(bins, return_counts=True)
    return {str(n): int(c) for n, c in zip(numbers, counts, strict=True)}


def add(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several counts."""
    total: dict[str, int] = {}
    for part in parts:
        for number, found in part.items():
            total[number] = total.get(number, 0) + found
    return total


def table(counts: Mapping[str, int]) -> list[str]:
    """Lines of a Markdown table: each bin, and how many are above its lower end."""
    by_bin = {int(number): found for number, found in counts.items()}
    most, above = max(by_bin.values()), sum(by_bin.values())
    lines = ["| similarity | pairs | above | |", "|---|---:|---:|---|"]
    for number in range(min(by_bin), max(by_bin) + 1):
        found = by_bin.get(number, 0)
        low = number * WIDTH - 1
        bar = "#" * round(BAR * found / most)
        lines.append(
            f"| {low:.2f} to {low + WIDTH:.2f} | {found:,} | {above:,} | {bar} |"
        )
        above -= found
    return lines
