"""Who Has More in real frames: which of two shows more of the named things?"""

import collections
from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items, pictures, prompts
from data_prep.devcv.bank import Bank, Frame, View, pick
from data_prep.devcv.items import Item, Style

COUNTED = 0.5  # visible at least this much: counted
TRIES = 200


def compare_real(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Two frames of the split with different numbers of a category, one at least each.

    Where the frames allow it, in half of the items the fewer things cover the larger
    area, and independently in half the frame with fewer of them holds more things in
    all: neither ink nor clutter tells.
    """
    pool = frames_by_count(bank)
    nouns = [noun for noun, by_count in pool.items() if len(by_count) > 1]
    if not nouns:
        return
    wanted = zip(
        items.deck(rng, nouns, number),
        items.deck(rng, range(2), number),
        items.deck(rng, range(4), number),
        strict=True,
    )
    for noun, answer, kind in wanted:
        fewer, more = pair(rng, pool[noun], noun, bool(kind % 2), bool(kind // 2))
        options = items.placed(rng, more, [fewer], answer)
        images = [
            pictures.encode(pictures.shrink(frame.pixels(), style.image_side))
            for frame in options
        ]
        if images[0] == images[1]:
            continue
        things = [
            View(frame, thing) for frame in options for thing in _counted(frame, noun)
        ]
        yield items.one_round(
            prompts.compare_real(noun),
            prompts.LETTERS[answer],
            images,
            things,
            numbers=[len(_counted(frame, noun)) for frame in options],
            noun=noun,
        )


def frames_by_count(bank: Bank) -> dict[str, dict[int, list[Frame]]]:
    """Noun -> number -> frames that show it so often, none of them half hidden."""
    pool = collections.defaultdict(lambda: collections.defaultdict(list))
    for frame in bank.frames:
        for noun in sorted({thing.category for thing in frame.things}):
            of_noun = [thing for thing in frame.things if thing.category == noun]
            if len(_counted(frame, noun)) == len(of_noun):
                pool[noun][len(of_noun)].append(frame)
    return {noun: dict(sorted(by.items())) for noun, by in sorted(pool.items())}


def _counted(frame, noun):
    return [t for t in frame.things if t.category == noun and t.visible >= COUNTED]


def pair(
    rng: np.random.Generator,
    by_count: dict[int, list[Frame]],
    noun: str,
    is_inky: bool,
    is_cluttered: bool,
) -> tuple[Frame, Frame]:
    """Draws two frames until they are of the wanted kind, or a while.

    Args:
        rng: the dice.
        by_count: number of the noun -> frames, two numbers at least.
        noun: the category that is counted.
        is_inky: in the frame with fewer of them they cover more.
        is_cluttered: the frame with fewer of them holds as many things in all, or more.

    Returns:
        (frame with fewer, frame with more).
    """
    counts = tuple(by_count)
    fallback = None
    for _ in range(TRIES):
        first, second = int(rng.integers(len(counts))), int(rng.integers(len(counts)))
        if first == second:
            continue
        low, high = sorted((counts[first], counts[second]))
        fewer, more = pick(rng, by_count[low]), pick(rng, by_count[high])
        if (len(fewer.things) >= len(more.things)) == is_cluttered:
            fallback = fewer, more
            if (_ink(fewer, noun) > _ink(more, noun)) == is_inky:
                break
    return fallback or (pick(rng, by_count[counts[0]]), pick(rng, by_count[counts[-1]]))


def _ink(frame, noun) -> float:
    return sum(thing.area for thing in _counted(frame, noun))
