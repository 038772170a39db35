"""Spatial Details: which of three pictures holds exactly the query's object?

The wrong options hold further instances of its category. Three things could give the
answer away without a look at details: the colour (so in half of the items all three
are of one colour, where the world has them), the background (so the query is cut out
of it) and equal pixels (so the query is another view of the right object).
"""

import collections
from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.devcv import items
from data_prep.devcv.tasks import Task

QUERY_FILL = 0.8  # of the canvas's shorter side
WINDOW = (1.6, 2.5)  # of the box's longer side: what an option shows
# Mean absolute difference (0..255, at 16 pixels) below which two instances look the
# same. Measured on the nursery: views of one look 0-22, of one colour but another mark
# 18-46.
MIN_DIFFERENCE = 20.0
TRIES = 20


def question(wording: str) -> str:
    """The human turn, word for word as released."""
    give = "give only a letter" if wording == "saycam" else "give a letter"
    return (
        "<image> Which of the following contains exactly this object? (A) <image> "
        f"(B) <image> (C) <image>. Pay attention to details and {give} A-C."
    )


def spatialdetails(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """Items of a query and three options; `same_colour` is in their meta.

    Options are windows around the objects that show no other thing of the category.
    As published (`original_spatialdetails`): whole frames, and the query is cropped
    from one of them.

    Source: BabyVLM-V2, Spatial Details.
    """
    rich = [c for c in bank.categories if len(bank.views[c]) >= 3]
    if not rich:
        return
    wanted = zip(
        items.deck(rng, rich, number),
        items.deck(rng, range(3), number),
        items.deck(rng, (True, False), number),
        strict=True,
    )
    for category, answer, want_colour in wanted:
        for attempt in range(TRIES):
            if attempt >= TRIES // 2:  # another category may have what this one lacks
                category = items.pick(rng, rich)
            views = triple(bank, rng, category, want_colour)
            if views and (item := _item(bank, rng, views, answer, style)):
                yield item
                break


def triple(
    bank: items.Bank, rng: np.random.Generator, category: str, want_colour: bool
) -> list[items.View]:
    """Views of three instances that look different, the right one first.

    Args:
        bank: has three instances of the category or more.
        rng: the dice.
        category: of all three.
        want_colour: all of one colour, if three instances are.

    Returns:
        Three views; none where the drawn right one has too few unlike others.
    """
    by_instance = bank.views[category]
    by_colour = collections.defaultdict(list)
    for instance, views in by_instance.items():
        by_colour[views[0].thing.colour].append(instance)
    same = [group for group in by_colour.values() if len(group) >= 3]
    pool = items.pick(rng, same) if want_colour and same else tuple(by_instance)
    chosen, looks = [], []
    for index in rng.permutation(len(pool)):
        view = items.pick(rng, by_instance[pool[index]])
        if any(view.thing.look == other.thing.look for other in chosen):
            continue
        look = look_of(view)
        if all(difference(look, other) >= MIN_DIFFERENCE for other in looks):
            chosen.append(view)
            looks.append(look)
        if len(chosen) == 3:
            return chosen
    return []


def look_of(view: items.View) -> np.ndarray:
    """The object's box at a size at which any two compare, f32[16, 16, 3]."""
    image = items.crop(view.frame.pixels(), view.thing.bbox, 0.0)
    return items.resize(image, (16, 16)).astype(np.float32)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two looks."""
    return float(np.abs(a - b).mean())


def _item(
    bank, rng, views: Sequence[items.View], answer: int, style: items.Style
) -> items.Item | None:
    as_published = "original_spatialdetails" in style.published
    asked = views[0] if as_published else _again(bank, rng, views[0])
    query = items.object_crop(asked, style)
    if as_published:
        options = [view.frame.pixels() for view in views]
    else:
        query = items.cut_out(query)
        options = [window_around(rng, view) for view in views]
        if any(option is None for option in options):
            return None
    size = items.canvas_of(asked, style)
    query = items.encode(items.paste(query, size, QUERY_FILL))
    encoded = [items.encode(items.shrink(o, style.image_side)) for o in options]
    if len({query, *encoded}) < 4:
        return None
    colours = {view.thing.colour for view in views}
    return items.one_round(
        question(items.wording(rng, style.prompts)),
        items.LETTERS[answer],
        [query, *items.placed(rng, encoded[0], encoded[1:], answer)],
        [asked, *views],
        noun=asked.thing.category,
        same_colour=len(colours) == 1 and None not in colours,
    )


def _again(bank, rng, view) -> items.View:
    """Another view of the same object, in another recording if there is one."""
    others = bank.views[view.thing.category][view.thing.instance]
    far = [v for v in others if v.frame.recording != view.frame.recording]
    return items.pick(rng, far or [v for v in others if v is not view] or others)


def window_around(rng: np.random.Generator, view: items.View) -> np.ndarray | None:
    """A square window that holds the object and no other thing of its category.

    Returns:
        u8[H, W, 3], or None where no such window was found.
    """
    frame, (x, y, width, height) = view.frame, view.thing.bbox
    rivals = [
        thing.bbox
        for thing in frame.things
        if thing.category == view.thing.category and thing is not view.thing
    ]
    short = min(frame.width, frame.height)
    for _ in range(TRIES):
        side = min(max(width, height) * rng.uniform(*WINDOW), short)
        left = _start(rng, x, width, side, frame.width)
        top = _start(rng, y, height, side, frame.height)
        box = (left, top, side, side)
        if not any(items.intersection(box, rival) for rival in rivals):
            return items.window(frame.pixels(), (left, top, left + side, top + side))
    return None


def _start(rng, low, length, side, limit) -> float:
    """Start of a stretch of `side` within [0, limit] that holds the object."""
    earliest = max(low + length - side, 0)
    latest = max(min(low, limit - side), earliest)
    return float(rng.uniform(earliest, latest))


TASKS = (
    Task(
        name="spatialdetails",
        title="Spatial Details",
        make=spatialdetails,
        example=question,
        # BabyVLM-V2, SAYCam
        sizes={"demo": (1200, 40, 200), "full": (11818, 1243, 1243)},
        build_rank=9,
        released_names=("spatial", "spatial_details"),
        published={
            "original_spatialdetails": "whole frames, one of them the query's own"
        },
    ),
)
