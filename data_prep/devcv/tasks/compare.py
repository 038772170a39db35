"""Who Has More: which of two images shows more of the named objects?

Synthetic: canvases of pasted copies. Naturalistic: real frames.
"""

import collections
import itertools
from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items
from data_prep.devcv.tasks import Task
from data_prep.devcv.tasks.count import SIZES, canvas, largest_size

COUNTED = 0.5  # visible at least this much: counted
TRIES = 200
COMPARE_COUNTS = range(1, 11)  # of copies on a canvas

# two frames, in order, and the noun
Asked = tuple[tuple[items.Frame, items.Frame], str]


def question(noun: str, answer: str) -> str:
    """The human turn, word for word as released; `answer` is in the synthetic one."""
    return f"Which image has more of {noun}?{answer} (A) <image> (B) <image>"


def compare_synthetic(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
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
            question(category, " Answer"),
            items.LETTERS[answer],
            [items.encode(image) for image, _ in options],
            [view],
            numbers=[n for _, n in options],
            noun=category,
        )


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


def compare_real(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """Two frames of the split with different numbers of a category, one at least each.

    Items come as twins: the same two pictures in the same order, asked for two nouns,
    one of which is more in the first picture and the other in the second. So nothing
    that can be seen without the noun tells the answer. Where the frames allow no more
    twins, single questions take their place (see `pair`). Where the frames allow it,
    in half of the items the fewer things cover the larger area, so that their ink does
    not tell it either.
    """
    asked = list(itertools.islice(twins(rng, bank, number), number))
    asked += singles(rng, bank, number - len(asked))
    for frames, noun in asked:
        images = [items.whole_frame(frame, style) for frame in frames]
        if images[0] == images[1]:
            continue
        numbers = [len(_counted(frame, noun)) for frame in frames]
        yield items.one_round(
            question(noun, ""),
            items.LETTERS[int(np.argmax(numbers))],
            images,
            [
                items.View(frame, thing)
                for frame in frames
                for thing in _counted(frame, noun)
            ],
            numbers=numbers,
            noun=noun,
        )


def twins(rng: np.random.Generator, bank: items.Bank, number: int) -> Iterator[Asked]:
    """About `number` questions, two and two about the same frames, none twice.

    cups and hats of two frames: (2, 1) and (1, 3) -> more cups? the first; more hats?
    the second.

    Args:
        rng: the dice.
        bank: the frames.
        number: of questions; fewer where there are no more.
    """
    crossed = _crossed(bank)
    nouns = sorted({noun for couple in crossed for noun in couple})
    couples = {noun: [c for c in crossed if noun in c] for noun in nouns}
    seen: set = set()
    for noun, kind in zip(
        items.deck(rng, nouns, -(-number // 2)),
        items.deck(rng, range(4), -(-number // 2)),
        strict=False,  # without nouns there is none
    ):
        inky = [kind % 2 == 1, kind // 2 == 1]
        for attempt in range(TRIES):
            couple = items.pick(rng, couples[noun])
            frames = [
                items.pick(rng, side) for side in items.pick(rng, crossed[couple])
            ]
            names = frozenset((frame.recording, frame.index) for frame in frames)
            questions = {(names, one) for one in couple}
            is_wanted = attempt >= TRIES // 2 or _are_inky(frames, couple) == inky
            if is_wanted and seen.isdisjoint(questions):
                seen |= questions
                shown = tuple(frames if rng.integers(2) else frames[::-1])
                yield from ((shown, one) for one in couple)
                break


def _are_inky(frames, couple) -> list[bool]:
    """Of each noun, whether the frame with fewer has more ink.

    The first frame shows more of the first noun, the second more of the second.
    """
    return [
        _ink(frames[1 - i], noun) > _ink(frames[i], noun)
        for i, noun in enumerate(couple)
    ]


def _crossed(bank) -> dict[tuple[str, str], list[tuple[list, list]]]:
    """Two nouns -> (frames, frames): of the first noun the former show more, of the
    second the latter. Frames of one list show equally many of both."""
    both = collections.defaultdict(lambda: collections.defaultdict(list))
    for frame in bank.frames:
        for one, other in itertools.combinations(sorted(countable(frame).items()), 2):
            both[one[0], other[0]][one[1], other[1]].append(frame)
    found = {
        couple: [
            (by_numbers[a], by_numbers[b])
            for a, b in itertools.permutations(sorted(by_numbers), 2)
            if a[0] > b[0] and a[1] < b[1]
        ]
        for couple, by_numbers in sorted(both.items())
    }
    return {couple: ways for couple, ways in found.items() if ways}


def singles(rng: np.random.Generator, bank: items.Bank, number: int) -> Iterator[Asked]:
    """`number` questions about two frames each, or none where no noun allows one."""
    pool = frames_by_count(bank)
    nouns = [noun for noun, by_count in pool.items() if len(by_count) > 1]
    for noun, answer, kind in zip(
        items.deck(rng, nouns, number),
        items.deck(rng, range(2), number),
        items.deck(rng, range(4), number),
        strict=False,  # without nouns there is none
    ):
        fewer, more = pair(rng, pool[noun], noun, bool(kind % 2), bool(kind // 2))
        yield tuple(items.placed(rng, more, [fewer], answer)), noun


def countable(frame: items.Frame) -> dict[str, int]:
    """Noun -> how many the frame shows; without nouns of which one is half hidden."""
    numbers = collections.Counter(thing.category for thing in frame.things)
    return {
        noun: number
        for noun, number in numbers.items()
        if len(_counted(frame, noun)) == number
    }


def frames_by_count(bank: items.Bank) -> dict[str, dict[int, list[items.Frame]]]:
    """Noun -> number -> frames that show it so often, none of them half hidden."""
    pool = collections.defaultdict(lambda: collections.defaultdict(list))
    for frame in bank.frames:
        for noun, number in countable(frame).items():
            pool[noun][number].append(frame)
    return {noun: dict(sorted(by.items())) for noun, by in sorted(pool.items())}


def _counted(frame, noun):
    return [t for t in frame.things if t.category == noun and t.visible >= COUNTED]


def pair(
    rng: np.random.Generator,
    by_count: dict[int, list[items.Frame]],
    noun: str,
    is_inky: bool,
    is_cluttered: bool,
) -> tuple[items.Frame, items.Frame]:
    """Draws two frames until they are of the wanted kind, or a while.

    Args:
        rng: the dice.
        by_count: number of the noun -> frames, two numbers at least.
        noun: the category that is counted.
        is_inky: in the frame with fewer of them they cover more.
        is_cluttered: the frame with fewer of them holds more things in all; otherwise
            fewer. As many in both only where nothing else is found: the fuller frame
            would be the better guess.

    Returns:
        (frame with fewer, frame with more).
    """
    counts, best, best_rank = tuple(by_count), None, (-2, False)
    for _ in range(TRIES):
        low, high = sorted(rng.permutation(len(counts))[:2])
        fewer, more = (items.pick(rng, by_count[counts[at]]) for at in (low, high))
        crowd = int(np.sign(len(fewer.things) - len(more.things)))
        rank = (
            crowd if is_cluttered else -crowd,
            (_ink(fewer, noun) > _ink(more, noun)) == is_inky,
        )
        if rank > best_rank:
            best, best_rank = (fewer, more), rank
        if rank == (1, True):
            break
    return best


def _ink(frame, noun) -> float:
    return sum(thing.area for thing in _counted(frame, noun))


TASKS = (
    Task(
        name="compare_synthetic",
        title="Who Has More, synthetic",
        make=compare_synthetic,
        example=lambda wording: question("ball", " Answer"),
        # BabyVLM-V2, SAYCam
        sizes={"demo": (1500, 40, 200), "full": (11200, 1813, 1832)},
        build_rank=2,
        released_names=(
            *("who_has_more", "who_has_more_synthetic"),
            *("whohasmore", "whohasmore_synthetic"),
        ),
        on_canvas=True,
        images_ask=True,
    ),
    Task(
        name="compare_real",
        title="Who Has More, naturalistic",
        make=compare_real,
        example=lambda wording: question("ball", ""),
        sizes={"demo": (600, 40, 200), "full": (12404, 1940, 2199)},
        build_rank=3,
        released_names=(
            *("compare", "who_has_more_naturalistic", "whohasmore_naturalistic"),
        ),
    ),
)
