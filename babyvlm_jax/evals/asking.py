"""Asks a predictor the items of one task, under all protocols and controls at once.

`generate`: the model writes. `choice`: the likelihood of each offered answer, averaged
over the orders of the options where asked for. `match`: each image of an item is shown
alone, as in an image-utterance record, and each text is scored under it, so this asks a
model that was never instructed what it knows.
"""

import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.questions import LETTER, Question, questions_of, reworded
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from babyvlm_jax.evals.engine import shares
from babyvlm_jax.evals.items import offered
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.scoring import Answer
from babyvlm_jax.evals.tasks import CHOICE, GENERATE, MATCH, Task
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.ties import best_places


def ask(
    predictor: Predictor,
    task: Task,
    records: Sequence[Record],
    variants: Callable[[str, Record], Record],
    protocols: Sequence[str],
    controls: Sequence[str] = (),
    permute: bool = False,
    ties: str = "random",
) -> list[list[Answer]]:
    """Asks a few items.

    All forms of them go to the predictor together, so that one of ours encodes each
    image once.

    Args:
        predictor: who answers.
        task: the task.
        records: its items.
        variants: of `controls.make_variants`.
        protocols: some of `tasks.PROTOCOLS`.
        controls: some of `controls.VARIANTS`, beside the plain items.
        permute: `choice` averages over the orders of the options.
        ties: what `match` does about options of equal score, see `config.TIES`.

    Returns:
        Per record what was said, under each control and protocol.
    """
    names = ("", *controls)
    plain = [record for record in records for _ in names]
    controls = [*names] * len(records)
    forms = [
        variants(name, record) if name else record
        for name, record in zip(controls, plain, strict=True)
    ]
    replies, found, said = [], [], []
    choices = [offered(task, record) for record in plain if CHOICE in protocols]
    if choices and GENERATE in protocols:
        replies, found = predictor.answer(forms, choices)
    elif choices:
        found = predictor.score(forms, choices)
    elif GENERATE in protocols:
        replies = predictor.generate(forms)
    if replies:
        written = zip(controls, replies, strict=True)
        said.append([Answer(GENERATE, *one) for one in written])
    if found:
        found = _over_orders(predictor, plain, forms, choices, found, permute)
        said.append(list(map(_chosen, controls, choices, found)))
    if MATCH in protocols:
        matched = zip(match(predictor, task, plain, forms, ties), controls, strict=True)
        said.append([dataclasses.replace(one, control=name) for one, name in matched])
    every = itertools.chain.from_iterable(zip(*said, strict=True))
    size = len(names) * len(said)
    return [list(itertools.islice(every, size)) for _ in records]


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


def _chosen(control, choices, found) -> Answer:
    return Answer(
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


def num_orders(questions: Sequence[Question]) -> int:
    """Orders that an item is asked in: as many as a round has options at most."""
    return max(1, *(len(question.choices) for question in questions))


def rotate(record: Record, questions: Sequence[Question], shift: int) -> Record:
    """The record with the options of each round moved on by `shift` places.

    Images x, y, z of (A), (B), (C) moved on by 1 become z, x, y; what is named in
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


class Pair(NamedTuple):
    """One option: an image of the item, by its number, and a text."""

    image: int
    text: str


def pairs_of(task: Task, record: Record) -> list[dict[str, Pair]]:
    """What is compared: per round, answer -> the pair that it stands for.

    They are the item's `pairs`, a list per round of (number of the image, text), in
    the order of the letters; or else its `word` with each image that is an option.

    Raises:
        UserError: the item has neither.
    """
    if "pairs" in record.meta:
        return [
            {letter: Pair(*pair) for letter, pair in zip(letters, pairs, strict=True)}
            for letters, pairs in zip(
                offered(task, record), record.meta["pairs"], strict=True
            )
        ]
    questions = questions_of(record)
    options = questions[0].options if len(questions) == 1 else ()
    if "word" not in record.meta or not options:
        raise UserError(
            f"item {record.id!r} of {task.name!r} has no 'word' in its meta, or "
            "its options are no pictures; the protocol 'match' serves "
            "picture_vocabulary and lwl, and the tasks of V1"
        )
    pairs = [Pair(image, record.meta["word"]) for image in options]
    return [dict(zip(questions[0].choices, pairs, strict=True))]


def match(
    predictor: Predictor,
    task: Task,
    plain: Sequence[Record],
    forms: Sequence[Record],
    ties: str,
) -> list[Answer]:
    """Answers each item by the scores of its pairs, the highest of a round.

    Args:
        predictor: scores a text under an image.
        task: the task.
        plain: the items, which say what is compared.
        forms: the same or altered items, whose images are shown.
        ties: one of `TIES`; a task may say that ties fail.

    Returns:
        Per item what was said; "" where a tie fails.

    Raises:
        UserError: see `pairs_of`.

    Source: BabyVLM (V1): image choice, phrase choice, Baby Winoground.
    """
    rounds = [pairs_of(task, record) for record in plain]
    scores = _score(predictor, plain, forms, rounds)
    rule = "wrong" if task.ties_fail else ties
    said = []
    for record, form, of_item, known in zip(plain, forms, rounds, scores, strict=True):
        replies, likelihoods = [], []
        golds = [question.answer for question in questions_of(record)]
        for number, (options, gold) in enumerate(zip(of_item, golds, strict=True)):
            values = np.array([known[form.images[i], t] for i, t in options.values()])
            best = [list(options)[k] for k in highest(values)]
            replies.append(decide(best, gold, rule, f"{record.id}/{number}"))
            among = map(float, shares(values))
            likelihoods.append(dict(zip(options, among, strict=True)))
        said.append(Answer(MATCH, "", replies, likelihoods))
    return said


def _score(predictor, plain, forms, rounds) -> list[dict[tuple[bytes, str], float]]:
    """Per item (image, text) -> score; a pair that comes twice is asked for once."""
    shown, choices, owners = [], [], []
    for place, (record, form) in enumerate(zip(plain, forms, strict=True)):
        texts: dict[bytes, dict[str, None]] = {}
        for options in rounds[place]:
            for pair in options.values():
                texts.setdefault(form.images[pair.image], {})[pair.text] = None
        for number, (image, offered_texts) in enumerate(texts.items()):
            name = f"{record.id}/{number}"
            shown.append(_shown_alone(name, record.source, image, offered_texts))
            choices.append([tuple(offered_texts)])
            owners.append((place, image))
    found: list[dict] = [{} for _ in plain]
    scored = predictor.score(shown, choices)
    for (place, image), (texts,), (values,) in zip(
        owners, choices, scored, strict=True
    ):
        found[place] |= {(image, t): v for t, v in zip(texts, values, strict=True)}
    return found


def _shown_alone(name, source, image, texts) -> Record:
    turns = ((HUMAN, IMAGE_MARK), (ASSISTANT, next(iter(texts))))
    return Record(id=name, source=source, images=(image,), turns=turns)


def highest(values: np.ndarray) -> list[int]:
    """The options of the highest score; all of them where one could not be scored.

    Nothing can be scored of words that a tokenizer does not know: such a score is -inf.
    """
    if np.isneginf(values).any():
        return list(range(len(values)))
    return best_places(values)


def decide(best: Sequence[str], gold: str, ties: str, name: str) -> str:
    """The answer among those of the highest score.

    Args:
        best: one or several.
        gold: the right one.
        ties: one of `TIES`.
        name: seeds the draw.

    Returns:
        One of `best`, or "" for none.
    """
    if len(best) == 1:
        return best[0]
    if ties == "right" and gold in best:
        return gold
    return random.Random(name).choice(best) if ties == "random" else ""
