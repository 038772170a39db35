"""Localization: in which quadrant of a window is the named object?"""

import itertools
from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items
from data_prep.devcv.tasks import Task

WINDOWS_PER_FRAME = 300
SIDES = (0.4, 1.0)  # of the frame's short side
INSIDE = 0.97  # of a box's area: this much in one quadrant counts as inside
MIN_SIDE = 0.14  # of the window's side, for each of the four objects


def question(noun: str) -> str:
    """The human turn, word for word as released."""
    return (
        f"<image> Point at the {noun}. Is it in the (A) top left or (B) top right or "
        "(C) bottom left or (D) bottom right of the image?"
    )


def localize(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """Square windows of frames with one object in each quadrant, all different.

    As every quadrant is taken, where things are says nothing about the answer.

    Source: BabyVLM-V2, Localization; ours: the rule on the other three quadrants.
    """
    found = _find(bank, rng, number)
    if not found:
        return
    for index, quadrant in enumerate(items.deck(rng, range(4), number)):
        frame, edges, things = found[index % len(found)]
        image = items.window(frame.pixels(), edges)
        yield items.one_round(
            question(things[quadrant].category),
            items.LETTERS[quadrant],
            [items.encode(items.shrink(image, style.image_side))],
            [items.View(frame, thing) for thing in things],
            noun=things[quadrant].category,
            bbox=list(edges),
        )


def _find(bank, rng, number) -> list[tuple]:
    """(frame, edges, things by quadrant) of about `number` windows, in random order."""
    found = []
    for index in rng.permutation(len(bank.frames)):
        frame = bank.frames[index]
        found += [(frame, *window) for window in windows(frame, rng)]
        if len(found) >= number:
            break
    return found


def windows(frame: items.Frame, rng: np.random.Generator) -> list[tuple]:
    """Windows of a frame that keep the rule of the four quadrants, at most two.

    Returns:
        [((left, top, right, bottom), things by quadrant)]: whole pixels; quadrants in
        the order of `babyvlm_jax.evals.tasks.QUADRANTS`.
    """
    if len({thing.category for thing in frame.things}) < 4:
        return []
    short = min(frame.width, frame.height)
    # Even sides: the quadrants have whole pixels.
    half = rng.integers(
        int(SIDES[0] * short / 2), int(SIDES[1] * short / 2) + 1, WINDOWS_PER_FRAME
    )
    left = rng.integers(0, frame.width - 2 * half + 1)
    top = rng.integers(0, frame.height - 2 * half + 1)
    shares = quadrant_shares(frame, left, top, half)
    single = ((shares >= INSIDE).sum(axis=1) == 1).all(axis=-1)
    good = [i for i in np.flatnonzero(single) if _keeps_rule(frame, shares[i], half[i])]
    edges = np.stack([left, top, left + 2 * half, top + 2 * half], axis=-1)
    order = shares.argmax(axis=1)  # [W, 4], the thing that is in each quadrant
    return [
        (tuple(edges[i].tolist()), [frame.things[k] for k in order[i]])
        for i in good[:2]
    ]


def quadrant_shares(frame: items.Frame, left, top, half) -> np.ndarray:
    """Share of each box's area that lies in each quadrant of each window.

    Args:
        frame: has K things.
        left: i64[W] left edges of the windows.
        top: i64[W] top edges.
        half: i64[W] half their sides.

    Returns:
        f64[W, K, 4], quadrants in the order of `evals.tasks.QUADRANTS`.
    """
    boxes = np.array([thing.bbox for thing in frame.things])  # [K, 4]
    start, size = boxes[:, :2], boxes[:, 2:]
    shares = []
    for row, column in itertools.product(range(2), repeat=2):
        corner = np.stack([left + column * half, top + row * half], axis=-1)[:, None]
        end = np.minimum(start + size, corner + half[:, None, None])
        inside = (end - np.maximum(start, corner)).clip(0)  # [W, K, 2]
        shares.append(inside.prod(axis=-1) / size.prod(axis=-1))
    return np.stack(shares, axis=-1)


def _keeps_rule(frame, shares, half) -> bool:
    """The quadrants' things are whole, large and of four categories; no other counts.

    A thing that is cut by the window's border is tolerated where its category is
    none of the four, and it does not lie mostly inside.
    """
    inside = shares >= INSIDE  # [K, 4], one thing a quadrant
    chosen = inside.any(axis=1)
    things = [t for t, is_chosen in zip(frame.things, chosen, strict=True) if is_chosen]
    categories = {thing.category for thing in things}
    if len(categories) < 4 or any(
        thing.visible < 0.99 or max(thing.bbox[2:]) < MIN_SIDE * 2 * half
        for thing in things
    ):
        return False
    present = shares.sum(axis=1)
    return all(
        share == 0 or (share < 0.5 and thing.category not in categories)
        for thing, share, is_chosen in zip(frame.things, present, chosen, strict=True)
        if not is_chosen
    )


TASKS = (
    Task(
        name="localize",
        title="Localization",
        make=localize,
        example=lambda wording: question("ball"),
        # BabyVLM-V2, SAYCam
        sizes={"demo": (3000, 40, 200), "full": (12250, 2131, 2100)},
        build_rank=6,
        released_names=("localization",),
    ),
)
