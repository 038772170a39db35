"""Left/Right and Spatial Details: find the query among three pictures."""

import collections
from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items, pictures, prompts
from data_prep.devcv.bank import Bank, View, pick
from data_prep.devcv.items import Item, Style

OBJECT_FILL = 0.8  # of the canvas's shorter side
# Mean absolute difference (0..255, at 32 pixels) below which a crop counts as equal to
# its flip; ours: below, a person sees no difference either.
MIN_ASYMMETRY = 8.0
TRIES = 40
WINDOW = (1.6, 2.5)  # of the box's longer side: what a Spatial Details option shows


def leftright(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Which of three is the same as the query, the others being flips of it?

    The query itself is flipped at random, and the two wrong options are different
    flips (one always the mirror image), so that neither uprightness nor being the odd
    one out tells. `original_leftright`: an unflipped query, two identical mirrors.

    Source: BabyVLM-V2, Left/Right.
    """
    categories = items.deck(rng, bank.categories, number)
    answers = items.deck(rng, range(3), number)
    for category, answer in zip(categories, answers, strict=True):
        view = _lopsided_view(bank, rng, category)
        if view is None:
            continue
        names = flip_names(rng, style.original_leftright)
        crop = items.object_crop(view, style)
        size = items.canvas_of(view, style)
        encoded = [
            pictures.encode(
                pictures.paste(pictures.FLIPS[name](crop), size, OBJECT_FILL)
            )
            for name in names
        ]
        options = items.placed(rng, encoded[0], encoded[1:], answer)
        yield items.one_round(
            prompts.leftright(style.prompts),
            prompts.LETTERS[answer],
            [encoded[0], *options],
            [view],
            noun=view.thing.category,
        )


def flip_names(rng: np.random.Generator, original: bool) -> tuple[str, str, str]:
    """Flips of the picture that are (the query, first wrong, second wrong) option."""
    if original:
        return "identity", "horizontal", "horizontal"
    query = pick(rng, tuple(pictures.FLIPS))
    mirror = {
        "identity": "horizontal",
        "horizontal": "identity",
        "vertical": "both",
        "both": "vertical",
    }[query]
    other = pick(rng, [name for name in pictures.FLIPS if name not in (query, mirror)])
    return query, mirror, other


def _lopsided_view(bank, rng, category) -> View | None:
    """A view of the category, or of any other where it has only symmetric ones."""
    for attempt in range(2 * TRIES):
        if attempt >= TRIES:
            category = pick(rng, bank.categories)
        view = bank.draw(rng, category)
        if is_lopsided(view):
            return view
    return None


def is_lopsided(view: View) -> bool:
    """No flip leaves the object (nearly) as it is."""
    image = pictures.crop(view.frame.pixels(), view.thing.bbox, 0.0)
    image = pictures.resize(image, (32, 32)).astype(np.float32)
    return all(
        np.abs(image - flip(image)).mean() >= MIN_ASYMMETRY
        for name, flip in pictures.FLIPS.items()
        if name != "identity"
    )


def spatialdetails(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Which of three pictures holds exactly the query's object?

    The others hold further instances of its category: in half of the items, where the
    world has them, of the same colour, so that colour alone does not tell. Options are
    windows around the objects (`full_frames`: the whole frames, as published).

    Source: BabyVLM-V2, Spatial Details.
    """
    rich = [c for c in bank.categories if len(bank.views[c]) >= 3]
    if not rich:
        return
    categories = items.deck(rng, rich, number)
    answers = items.deck(rng, range(3), number)
    alike = items.deck(rng, (True, False), number)
    for category, answer, want_colour in zip(categories, answers, alike, strict=True):
        views = _triple(bank, rng, category, want_colour)
        images = [pictures.encode(_surroundings(rng, v, style)) for v in views]
        query = pictures.paste(
            pictures.crop(views[0].frame.pixels(), views[0].thing.bbox, 0.0),
            items.canvas_of(views[0], style),
            OBJECT_FILL,
        )
        query = pictures.encode(query)
        if len({query, *images}) < 4:
            continue
        colours = {view.thing.colour for view in views}
        yield items.one_round(
            prompts.spatialdetails(style.prompts),
            prompts.LETTERS[answer],
            [query, *items.placed(rng, images[0], images[1:], answer)],
            views,
            noun=category,
            same_colour=len(colours) == 1 and None not in colours,
        )


def _triple(bank, rng, category, want_colour) -> list[View]:
    """Views of three instances, the right one first; of one colour where possible.

    Prefers wrong ones seen in the right one's recording: the background is then alike.
    """
    by_instance = bank.views[category]
    by_colour = collections.defaultdict(list)
    for instance, views in by_instance.items():
        by_colour[views[0].thing.colour].append(instance)
    same = [group for group in by_colour.values() if len(group) >= 3]
    pool = pick(rng, same) if want_colour and same else list(by_instance)
    pool = [pool[i] for i in rng.permutation(len(pool))]
    right = pick(rng, by_instance[pool[0]])
    near = {
        instance: [
            view
            for view in by_instance[instance]
            if view.frame.recording == right.frame.recording
        ]
        for instance in pool[1:]
    }
    wrong = sorted(near, key=lambda instance: not near[instance])[:2]  # stable
    return [right, *(pick(rng, near[i] or by_instance[i]) for i in wrong)]


def _surroundings(rng, view, style) -> np.ndarray:
    """A square window of the frame that holds the object somewhere, or the frame."""
    frame, (x, y, width, height) = view.frame, view.thing.bbox
    if style.full_frames:
        return pictures.shrink(frame.pixels(), style.image_side)
    short = min(frame.width, frame.height)
    longer = max(width, height)
    side = min(longer * rng.uniform(*WINDOW), short)
    left = _start(rng, x, width, side, frame.width)
    top = _start(rng, y, height, side, frame.height)
    image = pictures.window(frame.pixels(), (left, top, left + side, top + side))
    return pictures.shrink(image, style.image_side)


def _start(rng, low, length, side, limit) -> float:
    """Start of a stretch of `side` within [0, limit] that holds the object."""
    earliest = max(low + length - side, 0)
    latest = max(min(low, limit - side), earliest)
    return float(rng.uniform(earliest, latest))
