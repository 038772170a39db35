"""Checks of the pictures within an item: what equals what."""

from collections.abc import Iterator

import numpy as np

from babyvlm_jax.data.questions import Question
from babyvlm_jax.ties import best_places
from data_prep.devcv.audit.answers import MARGIN, Splits, chance
from data_prep.devcv.audit.facts import NEAR, Facts
from data_prep.devcv.audit.findings import FAULT, NONE, NOTE, OK, Finding, interval

SAME_BY_NATURE = ("leftright", "leftright_things")  # which option is the query?
MEMORY = ("memory", "memory_short")
SOLVED = 0.9  # a matcher that knows nothing and gets so much right solves the task


def _rounds(splits: Splits) -> Iterator[tuple[Facts, int, Question]]:
    """(item, number of the round, round) of all questions that leave a choice."""
    for items in splits.values():
        for item in items:
            for number, one in enumerate(item.rounds):
                if one.gold is not None and len(one.options) > 1:
                    yield item, number, one


def options(task: str, splits: Splits) -> Finding:
    """Options that are the same file, or look the same."""
    total, unanswerable, odd, near, first = 0, 0, 0, 0, None
    for item, number, one in _rounds(splits):
        total += 1
        files = item.digests[list(one.options)]
        is_same = files[:, None] == files[None]
        is_near = item.apart[number] < NEAR
        np.fill_diagonal(is_same, False)
        np.fill_diagonal(is_near, False)
        if is_same[one.gold].any():
            unanswerable += 1
        elif is_same.any():
            odd += 1
        elif is_near[one.gold].any():
            near += 1
        else:
            continue
        first = first or item.id
    if not total:
        return Finding("options", NONE, "the options are no pictures")
    values = {
        "questions": total,
        "unanswerable": unanswerable,
        "odd one out": odd,
        "near": near,
        "first": first,
    }
    told = []
    if unanswerable:
        told.append(f"{unanswerable:,} right options are the same file as a wrong one")
    if odd:
        told.append(
            f"{odd:,} wrong options are the same file: the odd one out is right"
        )
    if near > MARGIN * total:
        told.append(f"{near:,} right options look the same as a wrong one")
    short = f"{unanswerable + odd + near:,}"
    if told:
        says = f"{'; '.join(told)} (of {total:,}, the first: {first})"
        return Finding("options", FAULT, says, short, values)
    says = f"all options of {total:,} questions differ"
    if near:
        says = (
            f"{near:,} of {total:,} right options look much like a wrong one ({first})"
        )
    return Finding("options", NOTE if near else OK, says, short, values)


def query(task: str, splits: Splits) -> Finding:
    """Whether equal files, or nearly equal pictures, give the answer away."""
    total = same = near = 0
    for item, number, one in _rounds(splits):
        given = item.from_query[number]
        if not len(given):
            continue
        total += 1
        telling = _telling(task, one)
        seen = item.digests[list(one.queries) or slice(0, one.options[0])]
        is_same = any(item.digests[one.options[i]] in seen for i in telling)
        same += is_same
        near += not is_same and bool(given[telling].min() < NEAR)
    if not total:
        return Finding("query", NONE, "nothing is shown before the options")
    what = "an old picture comes again" if task in MEMORY else "the query is the answer"
    values = {"questions": total, "same": same, "near": near}
    told = f"{what} as the same file in {same:,} of {total:,}, nearly so in {near:,}"
    short = f"{same:,} + {near:,}"
    if not same and near <= MARGIN * total:
        return Finding("query", OK, told, short, values)
    if task in SAME_BY_NATURE:
        says = f"{told}: so the task is defined; tell it with the score"
        return Finding("query", NOTE, says, short, values)
    return Finding("query", FAULT, told, short, values)


def _telling(task, one) -> list[int]:
    """Options that tell the answer if they equal what was shown before."""
    if task in MEMORY:
        return [i for i in range(len(one.options)) if i != one.gold]
    return [one.gold]


def matcher(task: str, splits: Splits) -> Finding:
    """Score of a matcher of luminance and colour histograms, without any word.

    It takes the option most like the query; in Delayed Memory, the one least like
    anything that was shown before.
    """
    right, rounds = 0, []
    for item, number, one in _rounds(splits):
        unlike = item.unlike[number]
        if len(unlike):
            rounds.append(one)
            told, *_ = best_places(unlike if task in MEMORY else -unlike)
            right += told == one.gold
    if not rounds:
        return Finding("matcher", NONE, "nothing is shown before the options")
    low, high = interval(right, len(rounds))
    guess = chance(task, rounds)
    share = right / len(rounds)
    values = {"share": share, "low": low, "high": high, "chance": guess}
    told = (
        f"a pixel matcher scores {share:.3f} of {len(rounds):,} "
        f"[{low:.3f}, {high:.3f}], chance {guess:.3f}"
    )
    if low < SOLVED:
        return Finding("matcher", OK, told, f"{share:.3f}", values)
    if task in (*SAME_BY_NATURE, *MEMORY):
        says = f"{told}: so the task is defined; tell it with the score"
        return Finding("matcher", NOTE, says, f"{share:.3f}", values)
    return Finding(
        "matcher", FAULT, f"{told}: no look at things is needed", f"{share:.3f}", values
    )
