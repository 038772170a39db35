"""The same question with its options in another order.

Likelihoods that are averaged over all orders do not favour a position.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from babyvlm_jax.data.questions import LETTER, Question, reworded
from babyvlm_jax.data.schema import HUMAN, Record


def num_orders(questions: Sequence[Question]) -> int:
    """Orders that an item is asked in: as many as a round has options at most."""
    return max(1, *(len(question.choices) for question in questions))


def rotate(record: Record, questions: Sequence[Question], shift: int) -> Record:
    """The record with the options of each round moved on by `shift` places.

    Pictures x, y, z of (A), (B), (C) moved on by 1 become z, x, y; what is named in
    the text (quadrants, sides) changes places there.

    Args:
        record: an item, or an altered form of it.
        questions: of the item.
        shift: how far.
    """
    shown, turns = list(record.images), []
    asked = iter(questions)
    for role, text in record.turns:
        if role == HUMAN:
            question = next(asked)
            text = reworded(text, question, shift)
            for place, image in enumerate(question.options):
                other = question.options[(place - shift) % len(question.options)]
                shown[image] = record.images[other]
        turns.append((role, text))
    return dataclasses.replace(record, images=tuple(shown), turns=tuple(turns))


def rotate_back(
    questions: Sequence[Question], found: Sequence[np.ndarray], shift: int
) -> list[np.ndarray]:
    """Per round the likelihoods of a rotated item, by the options' own places.

    Letters name places: after a shift of 1 the likelihood of B is that of option A.
    """
    return [
        np.roll(values, -(shift % len(values))) if question.kind == LETTER else values
        for question, values in zip(questions, found, strict=True)
    ]
