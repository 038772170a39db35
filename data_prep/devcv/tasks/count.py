"""Object Counting: how many copies of one object on a black canvas?

Sizes are fractions of the canvas's side. A size drawn from `SIZES` leaves room for
twelve copies, so that it says nothing about the number.
"""

import functools
from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items
from data_prep.devcv.tasks import Task

SIZES = (0.15, 0.21)  # ours: twelve copies of .21 still fit
GRID = 4  # cells a side of the fallback placement
RESTARTS = 6
CANDIDATES = 40


def question(noun: str) -> str:
    """The human turn, word for word as released."""
    return f"<image> How many of {noun} do you see?"


def counting(
    bank: items.Bank,
    rng: np.random.Generator,
    number: int,
    style: items.Style,
    counts: range,
) -> Iterator[items.Item]:
    """How many copies of one object? Each of `counts` equally often."""
    numbers = items.deck(rng, counts, number)
    categories = items.deck(rng, bank.categories, number)
    for copies, category in zip(numbers, categories, strict=False):
        view = bank.draw(rng, category)
        drawn = float(rng.uniform(*SIZES))
        size = leaky_size(copies) if "leaky_size" in style.published else drawn
        image = canvas(view, rng, copies, size, style)
        yield items.one_round(
            question(category),
            str(copies),
            [items.encode(image)],
            [view],
            number=copies,
            noun=category,
        )


def leaky_size(copies: int) -> float:
    """Size of a copy in the published canvases: 0.68 / sqrt(N).

    Source: our fit to samples of the DevCV Toolbox.
    """
    return 0.68 / copies**0.5


def largest_size(copies: int) -> float:
    """The largest size at which this many copies find a place without overlap."""
    cells = int(np.ceil(np.sqrt(copies)))
    return 0.86 / cells


def canvas(
    view: items.View,
    rng: np.random.Generator,
    copies: int,
    size: float,
    style: items.Style,
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


TASKS = (
    Task(
        name="count",
        title="Object Counting",
        make=functools.partial(counting, counts=range(1, 13)),
        example=lambda wording: question("ball"),
        # BabyVLM-V2, SAYCam
        sizes={"demo": (2000, 40, 200), "full": (13695, 2966, 3019)},
        build_rank=2,
        released_names=("counting", "object_counting"),
        published={"leaky_size": "count: size tells N"},
        on_canvas=True,
        images_ask=True,
    ),
)
