"""Checks of the counting tasks: whether size or ink gives the number away."""

from collections.abc import Sequence

import numpy as np

from data_prep.devcv.audit.answers import Splits
from data_prep.devcv.audit.facts import CANVASES, Facts
from data_prep.devcv.audit.findings import ALPHA, FAULT, NONE, OK, Finding, interval

IS_CANVAS = 0.3  # of a picture must be black
FEWEST = 30  # items: with less, nothing can be said
STRONG = 0.3  # rank correlation of size and number; ours: less is of little use
RULE = 0.65  # of two pictures, a rule that is right so often gives the answer away


def sizes(task: str, splits: Splits) -> Finding:
    """Whether the size of a thing tells how many there are."""
    if task not in CANVASES:
        return Finding("size", NONE, "no canvas is drawn")
    items = [item for items in splits.values() for item in items if is_drawn(item)]
    if len(items) < FEWEST:
        return Finding("size", NONE, f"{len(items)} items on black canvases: too few")
    return _pairs(items) if task == "compare_synthetic" else _counts(items)


def is_drawn(item: Facts) -> bool:
    """Whether its pictures are things on black canvases, as our tasks have them.

    Sets of others may ask with letters for numbers, or show more than two pictures.
    """
    one = item.rounds[0]
    answer = one.answer or ""
    asks = len(item.canvas) == 2 and answer if one.options else answer.isdigit()
    black, _, side = item.canvas.T
    return bool(asks and (black > IS_CANVAS).all() and (side > 0).all())


def _counts(items: Sequence[Facts]) -> Finding:
    import scipy.stats  # slow to import, and no other check needs it

    numbers = np.array([int(item.rounds[0].answer) for item in items])
    side = np.array([item.canvas[0, 2] for item in items])
    is_still = np.ptp(side) == 0 or np.ptp(numbers) == 0
    rho, p = (0.0, 1.0) if is_still else scipy.stats.spearmanr(side, numbers)
    values = {"items": len(items), "rho": float(rho), "p": float(p)}
    told = f"size and number of {len(items):,} items: rank correlation {rho:+.2f}"
    is_fault = abs(rho) > STRONG and p < ALPHA
    if is_fault:
        told += ": the size of one thing tells how many there are"
    return Finding("size", FAULT if is_fault else OK, told, f"{rho:+.2f}", values)


def _pairs(items: Sequence[Facts]) -> Finding:
    """Rules that look at size or ink instead of number."""
    gold = np.array([item.rounds[0].gold for item in items])
    ink = np.array([item.canvas[:, 1] for item in items])
    side = np.array([item.canvas[:, 2] for item in items])
    rules = {
        "more ink": ink.argmax(axis=1),
        "larger things": side.argmax(axis=1),
        "smaller things": side.argmin(axis=1),
    }
    scores = {rule: int((told == gold).sum()) for rule, told in rules.items()}
    best = max(scores, key=scores.get)
    low, _ = interval(scores[best], len(items))
    share = scores[best] / len(items)
    values = {rule: score / len(items) for rule, score in scores.items()}
    told = f"{best!r} picks the right one of two in {share:.3f} of {len(items):,}"
    verdict = FAULT if low > RULE else OK
    return Finding("size", verdict, told, f"{share:.3f}", values)
