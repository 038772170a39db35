"""Asks a predictor the items of one task, under all protocols and controls at once."""

import dataclasses
from collections.abc import Sequence

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.config import How
from babyvlm_jax.evals.engine import shares
from babyvlm_jax.evals.items import offered
from babyvlm_jax.evals.matching import match
from babyvlm_jax.evals.orders import num_orders, rotate, rotate_back
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.scoring import Said
from babyvlm_jax.evals.tasks import CHOICE, GENERATE, MATCH, Task
from babyvlm_jax.ties import best_places


def ask(
    predictor: Predictor,
    task: Task,
    records: Sequence[Record],
    how: How,
    variants,
) -> list[list[Said]]:
    """Asks a few items.

    All forms of them go to the predictor together, so that one of ours encodes each
    picture once.

    Args:
        predictor: who answers.
        task: the task.
        records: its items.
        how: the protocols and controls.
        variants: of `controls.make_variants`.

    Returns:
        Per record what was said, under each control and protocol.
    """
    names = ("", *how.controls)
    forms = [
        variants(name, record) if name else record
        for record in records
        for name in names
    ]
    plain = [record for record in records for _ in names]
    said: list[list[Said]] = [[] for _ in forms]
    written = {GENERATE, CHOICE} & set(how.protocols)
    if written:
        choices = (
            [offered(task, record) for record in plain] if (CHOICE in written) else []
        )
        replies, found = _answer(predictor, forms, choices, written)
        if CHOICE in written:
            found = _over_orders(predictor, plain, forms, choices, found, how.permute)
        for place in range(len(forms)):
            name = names[place % len(names)]
            if replies:
                said[place].append(Said(GENERATE, name, replies[place]))
            if CHOICE in written:
                said[place].append(_chosen(name, choices[place], found[place]))
    if MATCH in how.protocols:
        matched = match(predictor, task, plain, forms, how.ties)
        for place, one in enumerate(matched):
            name = names[place % len(names)]
            said[place].append(dataclasses.replace(one, control=name))
    width = len(names)
    return [
        [one for form in said[start : start + width] for one in form]
        for start in range(0, len(said), width)
    ]


def _answer(predictor, forms, choices, written):
    if written == {GENERATE}:
        return predictor.generate(forms), None
    if written == {CHOICE}:
        return None, predictor.score(forms, choices)
    return predictor.answer(forms, choices)


def _over_orders(predictor, plain, forms, choices, found, permute):
    """Per form and round the offered answers' shares, over all orders if asked to."""
    mean = [[shares(values) for values in rounds] for rounds in found]
    if not permute:
        return mean
    asked = [questions_of(record) for record in plain]
    orders = [num_orders(questions) for questions in asked]
    for shift in range(1, max(orders)):
        turned = [i for i, number in enumerate(orders) if shift < number]
        rotated = [rotate(forms[i], asked[i], shift) for i in turned]
        scored = predictor.score(rotated, [choices[i] for i in turned])
        for i, rounds in zip(turned, scored, strict=True):
            back = [shares(values) for values in rounds]
            back = rotate_back(asked[i], back, shift)
            mean[i] = [a + b for a, b in zip(mean[i], back, strict=True)]
    return [
        [total / number for total in rounds]
        for rounds, number in zip(mean, orders, strict=True)
    ]


def _chosen(control, choices, found) -> Said:
    return Said(
        CHOICE,
        control,
        [
            answers[best_places(values)[0]]
            for answers, values in zip(choices, found, strict=True)
        ],
        [
            dict(zip(answers, map(float, values), strict=True))
            for answers, values in zip(choices, found, strict=True)
        ],
    )
