"""Mechanism `dialogue`: many rounds, with the model's own replies in the history."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record

Answerer = Callable[[Sequence[Record]], Sequence[str]]


def hold_dialogues(records: Sequence[Record], answer: Answerer) -> list[list[str]]:
    """Plays all dialogues, round by round, side by side.

    Args:
        records: dialogues of alternating human and assistant turns; their assistant
            turns are the right answers and are never shown.
        answer: answers the last human turn of each of a list of records.

    Returns:
        Per record the model's replies, one a round.
    """
    replies: list[list[str]] = [[] for _ in records]
    for number in range(max((num_rounds(r) for r in records), default=0)):
        going = [i for i, r in enumerate(records) if num_rounds(r) > number]
        asked = [round_record(records[i], replies[i]) for i in going]
        for index, reply in zip(going, answer(asked), strict=True):
            replies[index].append(reply)
    return replies


def num_rounds(record: Record) -> int:
    """Number of questions in a record."""
    return sum(role == HUMAN for role, _ in record.turns)


def round_record(record: Record, replies: Sequence[str]) -> Record:
    """The dialogue up to its next question, with `replies` as the earlier answers.

    Turns (q1, a1), (q2, a2), (q3, a3) and one reply r1 give (q1, r1), (q2, a2); a2 is
    the answer that the caller asks for. An image mark in a reply is dropped, because
    no picture belongs to it.
    """
    turns = list(record.turns[: 2 * len(replies) + 2])
    for number, reply in enumerate(replies):
        turns[2 * number + 1] = (ASSISTANT, reply.replace(IMAGE_MARK, ""))
    marks = sum(text.count(IMAGE_MARK) for _, text in turns)
    return dataclasses.replace(record, turns=tuple(turns), images=record.images[:marks])


def option_labels(record: Record) -> list[list[str]]:
    """Names of the options of each round.

    They are the item's `labels`; without those, each picture is named by its bytes, as
    repeated items are the same file.
    """
    if "labels" in record.meta:
        return [list(options) for options in record.meta["labels"]]
    digests = iter([hashlib.sha256(image).hexdigest() for image in record.images])
    return [
        [next(digests) for _ in range(text.count(IMAGE_MARK))]
        for role, text in record.turns
        if role == HUMAN
    ]
