"""Object Counting, Subitizing and Who Has More on canvases of pasted copies.

Sizes are fractions of the canvas's side. A size drawn from `SIZES` leaves room for
twelve copies, so that it says nothing about the number.
"""

from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items, prompts
from data_prep.devcv.items import Bank, Item, Style, View

COUNTS = range(1, 13)
SUBITIZE_COUNTS = range(1, 5)
COMPARE_COUNTS = range(1, 11)
SIZES = (0.15, 0.21)  # ours: twelve copies of .21 still fit
GRID = 4  # cells a side of the fallback placement
RESTARTS = 6
CANDIDATES = 40


def count(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """How many copies of one object, 1 to 12, uniformly."""
    yield from _count(bank, rng, number, style, COUNTS)


def subitize(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """The same with 1 to 4 copies."""
    yield from _count(bank, rng, number, style, SUBITIZE_COUNTS)


def compare_synthetic(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Two canvases with different numbers of the same object: which has more?

    In half of the items the fewer copies are so much larger that they cover more; in
    the other half the more copies are also the larger ones. So neither the amount of
    ink nor the size of a copy tells the answer.
    """
    categories = items.deck(rng, bank.categories, number)
    answers = items.deck(rng, range(2), number)
    tricky = items.deck(rng, (True, False), number)
    for category, answer, is_tricky in zip(categories, answers, tricky, strict=False):
        view = bank.draw(rng, category)
        low, high = sorted(int(n) for n in rng.choice(COMPARE_COUNTS, 2, replace=False))
        size_low, size_high = pair_sizes(rng, low, high, is_tricky)
        fewer = canvas(view, rng, low, size_low, style)
        more = canvas(view, rng, high, size_high, style)
        options = items.placed(rng, (more, high), [(fewer, low)], answer)
        yield items.one_round(
            prompts.compare_synthetic(category),
            prompts.LETTERS[answer],
            [items.encode(image) for image, _ in options],
            [view],
            numbers=[n for _, n in options],
            noun=category,
        )


def _count(bank, rng, number, style, counts) -> Iterator[Item]:
    numbers = items.deck(rng, counts, number)
    categories = items.deck(rng, bank.categories, number)
    for copies, category in zip(numbers, categories, strict=False):
        view = bank.draw(rng, category)
        drawn = float(rng.uniform(*SIZES))
        size = leaky_size(copies) if style.leaky_size else drawn
        image = canvas(view, rng, copies, size, style)
        yield items.one_round(
            prompts.count(category),
            str(copies),
            [items.encode(image)],
            [view],
            number=copies,
            noun=category,
        )


def leaky_size(copies: int) -> float:
    """Size of a copy in the published canvases: 0.68 / sqrt(N).

    Source: fit to published samples, spec of BabyVLM-V2, section 4.3.
    """
    return 0.68 / copies**0.5


def largest_size(copies: int) -> float:
    """The largest size at which this many copies find a place without overlap."""
    cells = int(np.ceil(np.sqrt(copies)))
    return 0.86 / cells


def pair_sizes(
    rng: np.random.Generator, low: int, high: int, is_tricky: bool
) -> tuple[float, float]:
    """Sizes of the copies on the canvas with `low` and the one with `high` copies.

    Args:
        rng: the dice.
        low: the smaller number.
        high: the larger number.
        is_tricky: the fewer copies cover the larger area; otherwise the more copies
            are also at least as large.

    Returns:
        (size of the fewer, size of the more).
    """
    floor = SIZES[0] * 0.8  # ours: below, a copy is too small at 32 pixels
    if is_tricky:
        ratio = np.sqrt(high / low)
        size_high = rng.uniform(floor, min(SIZES[1], largest_size(low) / ratio / 1.05))
        smallest = size_high * ratio * 1.05
        return float(rng.uniform(smallest, largest_size(low))), float(size_high)
    size_high = rng.uniform(SIZES[0], largest_size(high))
    return float(rng.uniform(floor, size_high)), float(size_high)


def canvas(
    view: View, rng: np.random.Generator, copies: int, size: float, style: Style
) -> np.ndarray:
    """Copies of a view's object on black, none over another, u8[H, W, 3]."""
    image = items.object_crop(view, style)
    return items.paste(
        image, items.canvas_of(view, style), size, places(rng, copies, size)
    )


def places(rng: np.random.Generator, copies: int, size: float) -> np.ndarray:
    """Places of squares of side `size` that do not overlap, f64[N, 2] in [0, 1].

    A place is relative to the room that a copy has (see `pictures.paste`). Random
    places are tried first; when the canvas is too full for that, jittered grid cells.
    """
    room = 1 - size
    for _ in range(RESTARTS):
        corners = np.empty((0, 2))
        for _ in range(copies):
            fresh = rng.uniform(0, room, (CANDIDATES, 2))
            apart = np.abs(fresh[:, None] - corners[None]).max(-1)
            free = np.flatnonzero((apart >= size).all(axis=1))
            if not len(free):
                break
            corners = np.concatenate([corners, fresh[free[:1]]])
        if len(corners) == copies:
            return corners / room
    cells = min(int(1 / size), GRID)
    chosen = rng.permutation(cells * cells)[:copies]
    cell = 1 / cells
    corners = np.stack([chosen % cells, chosen // cells], 1) * cell
    corners = corners + rng.uniform(0, cell - size, (copies, 2))
    return corners / room
