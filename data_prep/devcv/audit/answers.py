"""Checks of the answers alone: their form, their positions, the best constant."""

import collections
import re
from collections.abc import Mapping, Sequence

from babyvlm_jax.data.questions import DIRECTION, LETTER, NUMBER, TEXT, Question
from babyvlm_jax.evals.tasks import TASKS
from data_prep.devcv.audit.facts import Facts
from data_prep.devcv.audit.findings import (
    ALPHA,
    FAULT,
    NONE,
    OK,
    Finding,
    interval,
    surprise,
)
from data_prep.devcv.sizes import HELD_OUT

_OFFICIAL_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)
MARGIN = 0.05  # above chance: ours, less is no way to answer items
Splits = Mapping[str, Sequence[Facts]]


def num_choices(task: str, one: Question) -> int:
    """How many answers a question allows."""
    if one.choices:
        return len(one.choices)
    return (task in TASKS and TASKS[task].largest_number) or 12


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
        return Finding(
            "form", OK, f"all answers of {total:,} items can be matched", "0"
        )
    first = f"{bad[0][0]}: {bad[0][1]!r}"
    return Finding(
        "form",
        FAULT,
        f"{len(bad):,} answers cannot be matched by the official scorer ({first})",
        f"{len(bad):,}",
        {"bad": len(bad), "first": first},
    )


def is_readable(one: Question, told: str) -> bool:
    """Whether a model that answers `told` in lower case is scored as right.

    Source: BabyVLM-V2, official scorer: the first lone letter from A to D, the article
    too; digits, or a word up to ten; a direction without anything round it.
    """
    if one.fault:
        return False
    if one.kind == LETTER:
        letters = _OFFICIAL_LETTER.findall(told)
        return bool(letters) and letters[0].upper() == one.answer
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
    if odds >= ALPHA:
        return Finding(
            "positions", OK, f"{told}, p = {odds:.2g}", f"{share:.3f}", values
        )
    told = f"{told}: a skew, p = {odds:.1g}"
    return Finding("positions", FAULT, told, f"{share:.3f}", values)


def constant(task: str, splits: Splits) -> Finding:
    """Score of the best answer that is always the same."""
    found = [_constant(task, split, items) for split, items in splits.items()]
    found = [values for values in found if values["number"]]
    if not found:
        return Finding("constant", NONE, "no question leaves a choice")
    worst = max(found, key=lambda v: v["low"] - v["chance"])
    is_fault = worst["low"] > worst["chance"] + MARGIN
    told = (
        f"always {worst['answer']!r} scores {worst['share']:.3f} of "
        f"{worst['number']:,} ({worst['split']}), chance {worst['chance']:.3f}"
    )
    verdict = FAULT if is_fault else OK
    return Finding("constant", verdict, told, f"{worst['share']:.3f}", worst)


def _constant(task, split, items) -> dict:
    rounds = open_rounds(items)
    answer, most = _commonest(rounds)
    low, high = interval(most, len(rounds))
    return {
        "split": split,
        "answer": answer,
        "number": len(rounds),
        "share": most / max(len(rounds), 1),
        "low": low,
        "high": high,
        "chance": chance(task, rounds),
    }


def _commonest(rounds) -> tuple[str | None, int]:
    counts = collections.Counter(one.answer for one in rounds)
    return counts.most_common(1)[0] if counts else (None, 0)


def floor(task: str, rounds: Sequence[Question]) -> float:
    """What a blind guess reaches: chance, or the best constant where that is more."""
    most = _commonest(rounds)[1]
    return max(chance(task, rounds), most / max(len(rounds), 1))


def held_out(task: str, splits: Splits) -> Finding:
    """Whether a task that measures generalisation has items to train on."""
    if task not in HELD_OUT:
        return Finding("held out", NONE, "the task is trained on")
    number = len(splits.get("train", ()))
    if number:
        told = f"{number:,} training items of a task that is to be held out"
        return Finding("held out", FAULT, told, f"{number:,}")
    return Finding("held out", OK, "nothing to train on, as it should be", "0")
