"""The checks of the audit: answers, options, sizes, repeats and leaks.

Each takes a task and the facts of its items by split, and gives a `Finding`.
"""

import collections
import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.spatial
import scipy.special

from babyvlm_jax.data.questions import DIRECTION, LETTER, NUMBER, TEXT, Question
from babyvlm_jax.ties import best_places
from data_prep.devcv.audit import facts
from data_prep.devcv.audit.facts import NEAR, Facts
from data_prep.devcv.tasks import TASKS

OK, NOTE, FAULT, NONE = "ok", "note", "FAULT", "n/a"
Z = 2.576  # of a 99% interval
ALPHA = 0.01  # of a test
_DEFINED = ": so the task is defined; tell it with the score"
_OFFICIAL_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)
MARGIN = 0.05  # above chance: ours, less is no way to answer items
SOLVED = 0.9  # a matcher that knows nothing and gets so much right solves the task
IS_CANVAS = 0.3  # of a picture must be black
FEWEST = 30  # items: with less, nothing can be said
STRONG = 0.3  # rank correlation of size and number; ours: less is of little use
RULE = 0.65  # of two pictures, a rule that is right so often gives the answer away
# Sum of differences of two 8x8 thumbnails, against the spread of the one; ours: files
# saved again stay below, other pictures of the same make above.
CLOSE = 2 / 25
FLAT = 2  # mean deviation (of 255) below which a picture has no look to compare; ours
SAME = 0.01  # share of items that may show files of an earlier split; ours
ALIKE = 0.05  # that may show its looks, or be there twice: things may look alike; ours


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
    if (count := len(names)) == len(right):
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


Splits = Mapping[str, Sequence[Facts]]


def num_choices(task: str, one: Question) -> int:
    """How many answers a question allows."""
    return len(one.choices) or TASKS[task].facts.largest_number or 12


def chance(task: str, rounds: Sequence[Question]) -> float:
    """Expected share of right answers of a uniform guess."""
    return sum(1 / num_choices(task, one) for one in rounds) / max(len(rounds), 1)


def open_rounds(items: Sequence[Facts]) -> list[Question]:
    """The questions that leave a choice, and whose right answer is known."""
    return [
        one
        for item in items
        for one in item.rounds
        if len(one.choices) != 1 and one.kind != TEXT and one.answer is not None
    ]


def form(task: str, splits: Splits) -> Finding:
    """Whether every right answer is offered, and the official scorer can match it."""
    bad = [
        (item.id, told)
        for items in splits.values()
        for item in items
        for one, told in zip(item.rounds, item.told, strict=True)
        if not is_readable(one, told)
    ]
    total = sum(len(items) for items in splits.values())
    if not bad:
        says = f"all answers of {total:,} items can be matched"
        return Finding("form", OK, says, "0")
    first = "{}: {!r}".format(*bad[0])
    says = f"{len(bad):,} answers cannot be matched by the official scorer ({first})"
    values = {"bad": len(bad), "first": first}
    return Finding("form", FAULT, says, f"{len(bad):,}", values)


def is_readable(one: Question, told: str) -> bool:
    """Whether a model that answers `told` in lower case is scored as right.

    Source: BabyVLM-V2, official scorer: the first lone letter from A to D, the article
    too; digits, or a word up to ten; a direction without anything round it.
    """
    if one.fault:
        return False
    if one.kind == LETTER:
        letter = _OFFICIAL_LETTER.search(told)
        return letter is not None and letter[0].upper() == one.answer
    if one.kind == NUMBER:
        return any(c.isdigit() for c in told) or int(one.answer) <= 10
    return one.kind == DIRECTION and told.strip().lower() == one.answer


def positions(task: str, splits: Splits) -> Finding:
    """Whether the right answer stands in each place equally often."""
    worst = (1.0, "", 0, 0, 0)
    for split, items in splits.items():
        by_size = collections.defaultdict(collections.Counter)
        for one in open_rounds(items):
            place = int(one.answer) if one.gold is None else one.gold
            by_size[num_choices(task, one)][place] += 1
        for size, places in by_size.items():
            (_, most), number = places.most_common(1)[0], places.total()
            chances = surprise(most, number, size) * len(by_size) * len(splits)
            worst = min(worst, (min(chances, 1.0), split, most, number, size))
    odds, split, most, number, size = worst
    if not number:
        return Finding("positions", OK, "the answers stand in every place alike", "ok")
    share = most / number
    told = (
        f"the commonest place holds {share:.3f} of {number:,} ({split}), 1/{size} even"
    )
    values = {"share": share, "split": split, "number": number, "p": odds}
    verdict, how = OK, f", p = {odds:.2g}"
    if odds < ALPHA:
        verdict, how = FAULT, f": a skew, p = {odds:.1g}"
    return Finding("positions", verdict, told + how, f"{share:.3f}", values)


def constant(task: str, splits: Splits) -> Finding:
    """Score of the best answer that is always the same."""
    asked = {split: open_rounds(items) for split, items in splits.items()}
    found = [
        _constant(task, split, rounds) for split, rounds in asked.items() if rounds
    ]
    if not found:
        return Finding("constant", NONE, "no question leaves a choice")
    worst = max(found, key=lambda v: v["low"] - v["chance"])
    told = (
        f"always {worst['answer']!r} scores {worst['share']:.3f} of "
        f"{worst['number']:,} ({worst['split']}), chance {worst['chance']:.3f}"
    )
    verdict = FAULT if worst["low"] > worst["chance"] + MARGIN else OK
    return Finding("constant", verdict, told, f"{worst['share']:.3f}", worst)


def _constant(task, split, rounds) -> dict:
    (answer, most), number = _commonest(rounds), len(rounds)
    low, high = interval(most, number)
    found = {"split": split, "answer": answer, "number": number, "share": most / number}
    return {**found, "low": low, "high": high, "chance": chance(task, rounds)}


def _commonest(rounds) -> tuple[str, int]:
    return collections.Counter(one.answer for one in rounds).most_common(1)[0]


def floor(task: str, rounds: Sequence[Question]) -> float:
    """What a blind guess reaches: chance, or the best constant where that is more."""
    return max(chance(task, rounds), _commonest(rounds)[1] / len(rounds))


def held_out(task: str, splits: Splits) -> Finding:
    """Whether a task that measures generalisation has items to train on."""
    if not TASKS[task].facts.held_out:
        return Finding("held out", NONE, "the task is trained on")
    if number := len(splits.get("train", ())):
        told = f"{number:,} training items of a task that is to be held out"
        return Finding("held out", FAULT, told, f"{number:,}")
    return Finding("held out", OK, "nothing to train on, as it should be", "0")


def _rounds(splits: Splits) -> Iterator[tuple[Facts, int, Question]]:
    """(item, number of the round, round) of all questions that leave a choice."""
    for item in itertools.chain.from_iterable(splits.values()):
        for number, one in enumerate(item.rounds):
            if one.gold is not None and len(one.options) > 1:
                yield item, number, one


def options(task: str, splits: Splits) -> Finding:
    """Options that are the same file, or look the same."""
    alike = [(item.id, _alike(item, *asked)) for item, *asked in _rounds(splits)]
    if not (total := len(alike)):
        return Finding("options", NONE, "the options are no pictures")
    counts = collections.Counter(how for _, how in alike)
    first = next((name for name, how in alike if how), None)
    kinds = {kind: counts[kind] for kind in ("unanswerable", "odd one out", "near")}
    values = {"questions": total, **kinds, "first": first}
    unanswerable, odd, near = kinds.values()
    faults = (
        (unanswerable, "right options are the same file as a wrong one"),
        (odd, "wrong options are the same file: the odd one out is right"),
        (near * (near > MARGIN * total), "right options look the same as a wrong one"),
    )
    verdict, says = OK, f"all options of {total:,} questions differ"
    if told := [f"{number:,} {fault}" for number, fault in faults if number]:
        verdict, says = FAULT, f"{'; '.join(told)} (of {total:,}, the first: {first})"
    elif near:
        how = f"right options look much like a wrong one ({first})"
        verdict, says = NOTE, f"{near:,} of {total:,} {how}"
    return Finding("options", verdict, says, f"{sum(kinds.values()):,}", values)


def _alike(item: Facts, number: int, one: Question) -> str:
    """What a round's equal options make of it, "" if all differ."""
    files = item.digests[list(one.options)]
    others = ~np.eye(len(files), dtype=bool)
    is_same = (files[:, None] == files[None]) & others
    is_near = (item.apart[number] < NEAR) & others
    if is_same[one.gold].any():
        return "unanswerable"
    if is_same.any():
        return "odd one out"
    return "near" if is_near[one.gold].any() else ""


def query(task: str, splits: Splits) -> Finding:
    """Whether equal files, or nearly equal pictures, give the answer away."""
    total = same = near = 0
    for item, number, one in _rounds(splits):
        if not len(given := item.from_query[number]):
            continue
        telling = [one.gold]  # gives the answer away if it was shown before
        if TASKS[task].is_dialogue:
            telling = [i for i in range(len(one.options)) if i != one.gold]
        seen = item.digests[list(one.queries) or slice(0, one.options[0])]
        is_same = any(item.digests[one.options[i]] in seen for i in telling)
        total, same = total + 1, same + is_same
        near += not is_same and bool(given[telling].min() < NEAR)
    if not total:
        return Finding("query", NONE, "nothing is shown before the options")
    what = (
        "an old picture comes again"
        if TASKS[task].is_dialogue
        else "the query is the answer"
    )
    values = {"questions": total, "same": same, "near": near}
    told = f"{what} as the same file in {same:,} of {total:,}, nearly so in {near:,}"
    verdict = OK if not same and near <= MARGIN * total else FAULT
    if verdict == FAULT and TASKS[task].query_is_answer:
        verdict, told = NOTE, told + _DEFINED
    return Finding("query", verdict, told, f"{same:,} + {near:,}", values)


def matcher(task: str, splits: Splits) -> Finding:
    """Score of a matcher of luminance and colour histograms, without any word.

    It takes the option most like the query; in Delayed Memory, the one least like
    anything that was shown before.
    """
    right, rounds = 0, []
    for item, number, one in _rounds(splits):
        if len(unlike := item.unlike[number]):
            rounds.append(one)
            told, *_ = best_places(unlike if TASKS[task].is_dialogue else -unlike)
            right += told == one.gold
    if not rounds:
        return Finding("matcher", NONE, "nothing is shown before the options")
    low, high = interval(right, len(rounds))
    guess, share = chance(task, rounds), right / len(rounds)
    values = {"share": share, "low": low, "high": high, "chance": guess}
    told = (
        f"a pixel matcher scores {share:.3f} of {len(rounds):,} "
        f"[{low:.3f}, {high:.3f}], chance {guess:.3f}"
    )
    verdict, how = OK, ""
    if low >= SOLVED and (TASKS[task].query_is_answer or TASKS[task].is_dialogue):
        verdict, how = NOTE, _DEFINED
    elif low >= SOLVED:
        verdict, how = FAULT, ": no look at things is needed"
    return Finding("matcher", verdict, told + how, f"{share:.3f}", values)


def sizes(task: str, splits: Splits) -> Finding:
    """Whether the size of a thing tells how many there are."""
    if not TASKS[task].on_canvas:
        return Finding("size", NONE, "no canvas is drawn")
    items = [item for items in splits.values() for item in items if is_drawn(item)]
    if len(items) < FEWEST:
        return Finding("size", NONE, f"{len(items)} items on black canvases: too few")
    return (_counts if TASKS[task].facts.answer == NUMBER else _pairs)(items)


def is_drawn(item: Facts) -> bool:
    """Whether its pictures are things on black canvases, as our tasks have them.

    Sets of others may ask with letters for numbers, or show more than two pictures.
    """
    one, (black, _, side) = item.rounds[0], item.canvas.T
    answer = one.answer or ""
    asks = len(item.canvas) == 2 and answer if one.options else answer.isdigit()
    return bool(asks and (black > IS_CANVAS).all() and (side > 0).all())


def _counts(items: Sequence[Facts]) -> Finding:
    import scipy.stats  # slow to import, and no other check needs it

    numbers = np.array([int(item.rounds[0].answer) for item in items])
    side = np.array([item.canvas[0, 2] for item in items])
    is_still = not np.ptp(side) or not np.ptp(numbers)
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
    _, ink, side = np.moveaxis([item.canvas for item in items], -1, 0)
    rules = {
        "more ink": ink.argmax(axis=1),
        "larger things": side.argmax(axis=1),
        "smaller things": side.argmin(axis=1),
    }
    scores = {rule: int((told == gold).sum()) for rule, told in rules.items()}
    best = max(scores, key=scores.get)
    values = {rule: score / len(items) for rule, score in scores.items()}
    share = f"{values[best]:.3f}"
    told = f"{best!r} picks the right one of two in {share} of {len(items):,}"
    verdict = FAULT if interval(scores[best], len(items))[0] > RULE else OK
    return Finding("size", verdict, told, share, values)


def duplicates(task: str, splits: Splits) -> Finding:
    """The same question about the same pictures, in whatever order, within a split."""
    total = sum(len(items) for items in splits.values())
    found = {split: _repeated(items) for split, items in splits.items()}
    again = sum(len(repeated) for repeated, _ in found.values())
    against = sum(number for _, number in found.values())
    first = next((repeated[0] for repeated, _ in found.values() if repeated), None)
    if not again:
        return Finding("duplicates", OK, f"no item of {total:,} is there twice", "0")
    counts = {split: len(repeated) for split, (repeated, _) in found.items()}
    told = f"{again:,} of {total:,} items are there twice"
    # Training items may well come again; in a test they weigh double.
    is_fault = against > 0 or any(
        number > ALIKE * len(splits[split])
        for split, number in counts.items()
        if split != "train"
    )
    if against:
        told += f"; {against:,} of them with another answer"
    values = {"items": total, "against": against, "first": first, **counts}
    verdict, told = FAULT if is_fault else NOTE, f"{told} (the first: {first})"
    return Finding("duplicates", verdict, told, f"{again:,}", values)


def _repeated(items: Sequence[Facts]) -> tuple[list[str], int]:
    """Ids of items that were there before, and how many contradict an earlier one."""
    answers: dict[tuple, tuple] = {}
    seen, repeated, against = set(), [], 0
    for item in items:
        asked = tuple(one.prompt for one in item.rounds)
        answer = tuple(one.answer for one in item.rounds)
        whole = (asked, item.digests.tobytes())
        against += answers.setdefault(whole, answer) != answer
        if (key := (asked, np.sort(item.digests).tobytes())) in seen:
            repeated.append(item.id)
        seen.add(key)
    return repeated, against


def leaks(task: str, splits: Splits) -> Finding:
    """Items of val and test whose pictures an earlier split shows too."""
    same, alike, total, first, origins = 0, 0, 0, None, set()
    for split, known in (("val", ("train",)), ("test", ("train", "val"))):
        items = splits.get(split, ())
        others = [item for name in known for item in splits.get(name, ())]
        if not items or not others:
            continue
        total, shown = total + len(items), _Shown(others)
        for item in items:
            is_same, is_alike = shown.has(item)
            same += is_same
            alike += is_alike and not is_same
            first = first or (item.id if is_alike else None)
        origins |= _origins(items) & _origins(others)
    if not total:
        return Finding("leaks", NONE, "one split alone, or no pictures")
    listed = sorted(f"{kind} {name}" for kind, name in origins)[:20]
    values = {"items": total, "same": same, "alike": alike, "origins": listed}
    told = (
        f"of {total:,} items {same:,} show the files of an earlier split, {alike:,} "
        "what looks like them"
    )
    if origins:
        told += f"; {len(origins):,} recordings or instances are in two splits"
    if first:
        told += f" (the first: {first})"
    is_fault = bool(origins) or same > SAME * total or alike > ALIKE * total
    verdict = FAULT if is_fault else NOTE if first else OK
    return Finding("leaks", verdict, told, f"{same:,} + {alike:,}", values)


def _origins(items: Iterable[Facts]) -> set[tuple[str, str]]:
    return {origin for item in items for origin in item.origins}


class _Shown:
    """Pictures of other splits, by file and by look.

    Looks are compared in whole numbers, so that no verdict depends on how a processor
    rounds. Sums over quarters differ by no more than the pixels do: a tree of them
    finds the few pictures that are worth comparing.
    """

    def __init__(self, items: Sequence[Facts]):
        digests = np.concatenate([item.digests for item in items])
        thumbs = np.concatenate([item.thumbs for item in items])
        self._digests, keep = np.unique(digests, return_index=True)
        self._thumbs = thumbs[keep]
        self._tree = scipy.spatial.KDTree(_quarters(self._thumbs))

    def has(self, item: Facts) -> tuple[bool, bool]:
        """Whether half of its pictures, or more, are shown: the same files; the looks.

        A flat picture has no look; it counts where all are so.
        """
        spreads = np.array([_spread(thumb) for thumb in item.thumbs])
        indices = np.flatnonzero(spreads if spreads.any() else spreads == 0)
        same = np.isin(item.digests[indices], self._digests).tolist()
        alike = [
            is_same or self._shows_look(item.thumbs[index], CLOSE * spreads[index])
            for is_same, index in zip(same, indices, strict=True)
        ]
        return 2 * sum(same) >= len(indices), 2 * sum(alike) >= len(indices)

    def _shows_look(self, thumb, limit) -> bool:
        near = self._tree.query_ball_point(_quarters(thumb[None])[0], limit, p=1)
        differ = np.abs(self._thumbs[near].astype(np.int32) - thumb)
        return bool(limit and (differ.sum(axis=(1, 2, 3)) <= limit).any())


def _spread(thumb: np.ndarray) -> int:
    """Sum of deviations from the mean colour of what is not black; 0 if that is flat.

    Black margins are alike in all pictures that have them.
    """
    thing = thumb.max(axis=2) > facts.BLACK
    pixels = thumb[thing if thing.any() else ~thing].astype(np.int64)
    spread = np.abs(len(pixels) * pixels - pixels.sum(axis=0)).sum() // len(pixels)
    return int(spread) if spread >= FLAT * pixels.size else 0


def _quarters(thumbs: np.ndarray) -> np.ndarray:
    """u8[M, 8, 8, 3] -> i64[M, 12], the sums of each quarter's channels."""
    half = facts.SMALL // 2
    blocks = thumbs.reshape(-1, 2, half, 2, half, 3)
    return blocks.sum(axis=(2, 4), dtype=np.int64).reshape(len(thumbs), -1)
