"""Dialogues: records of several questions, one round after the other."""

import dataclasses
import hashlib
from collections.abc import Sequence

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record


def gold_texts(record: Record) -> list[str]:
    """The right answers' texts, the assistant turns of a record."""
    return [text for role, text in record.turns if role == ASSISTANT]


def num_rounds(record: Record) -> int:
    """Number of questions in a record."""
    return sum(role == HUMAN for role, _ in record.turns)


def round_images(record: Record) -> list[tuple[bytes, ...]]:
    """The pictures of each round."""
    images = iter(record.images)
    return [
        tuple(next(images) for _ in range(text.count(IMAGE_MARK)))
        for role, text in record.turns
        if role == HUMAN
    ]


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
    names = [hashlib.sha256(image).hexdigest() for image in record.images]
    return [
        [names[image] for image in question.options or question.images]
        for question in questions_of(record)
    ]
