"""Who Has More in real frames: which of two shows more of the named things?"""

import collections
from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items, pictures, prompts
from data_prep.devcv.bank import Bank, Frame, View, pick
from data_prep.devcv.items import Item, Style

COUNTED = 0.5  # visible at least this much: counted
TRIES = 30


def compare_real(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Two frames of the split with different numbers of a category, one at least each.

    Where the frames allow it, in half of the items the fewer things cover the larger
    area, so that ink alone does not tell.
    """
    pool = frames_by_count(bank)
    nouns = [noun for noun, by_count in pool.items() if len(by_count) > 1]
    if not nouns:
        return
    wanted = zip(
        items.deck(rng, nouns, number),
        items.deck(rng, range(2), number),
        items.deck(rng, (True, False), number),
        strict=True,
    )
    for noun, answer, is_tricky in wanted:
        fewer, more = _pair(rng, pool[noun], noun, is_tricky)
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


def _pair(rng, by_count, noun, is_tricky):
    """(frame with fewer, frame with more), of the wanted kind if one is found."""
    counts = tuple(by_count)
    for _ in range(TRIES):
        low, high = sorted(int(n) for n in rng.choice(counts, 2, replace=False))
        fewer, more = pick(rng, by_count[low]), pick(rng, by_count[high])
        ink = [sum(t.area for t in _counted(f, noun)) for f in (fewer, more)]
        if (ink[0] > ink[1]) == is_tricky:
            break
    return fewer, more
