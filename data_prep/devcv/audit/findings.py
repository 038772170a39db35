"""A verdict of the audit, and the statistics that verdicts rest on."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special

OK, NOTE, FAULT, NONE = "ok", "note", "FAULT", "n/a"
Z = 2.576  # of a 99% interval
ALPHA = 0.01  # of a test


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check says of one task.

    Attributes:
        check: its name.
        verdict: ok; note (worth knowing, no fault of the items); FAULT; n/a (the check
            does not fit the task, or there are too few items).
        says: one line for people.
        short: a cell of a table.
        values: the numbers behind it, JSON-able.
    """

    check: str
    verdict: str
    says: str
    short: str = "-"
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def interval(right: float, number: float) -> tuple[float, float]:
    """Wilson's 99% interval of a share.

    interval(50, 100) -> (0.375, 0.625), rounded
    """
    if not number:
        return 0.0, 1.0
    share, spread = right / number, Z * Z / number
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def effective(right: np.ndarray, groups: Sequence[str]) -> float:
    """How many independent questions are worth as much as these.

    Questions of one recording go right or wrong together. Of 50 recordings of two, half
    of them all right and half all wrong, the 100 questions are worth 45: 50 but for
    Student's t, by which few recordings count for less, and a single one for nothing.
    Questions that are recordings of their own count in full.

    Args:
        right: bool[N].
        groups: recording of each.
    """
    names, place = np.unique(groups, return_inverse=True)
    count = len(names)
    if count == len(right):
        return float(count)
    if count == 1:
        return 0.0
    off = right - right.mean()
    alone = (off**2).sum()
    together = (np.bincount(place, weights=off) ** 2).sum() * count / (count - 1)
    worth = len(right) * alone / max(together, alone) if alone else count
    return float(worth * (Z / scipy.special.stdtrit(count - 1, 1 - ALPHA / 2)) ** 2)


def surprise(most: int, number: int, num_choices: int) -> float:
    """Chance that any of `num_choices` equally likely answers is so frequent.

    surprise(294, 992, 4): answer B of 992 localisation items 294 times -> about 0.002

    Args:
        most: how often the most frequent one occurs.
        number: of items.
        num_choices: of each item.
    """
    tail = scipy.special.bdtrc(most - 1, number, 1 / num_choices)
    return min(float(num_choices * tail), 1.0)
