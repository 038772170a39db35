"""Compares the pictures of an item with its texts, a pair at a time.

Each picture is shown alone, as in an image-utterance record, and each text is scored
under it, so this asks a model that was never instructed what it knows. The answers to
all questions of an item follow from the same scores.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from babyvlm_jax.evals.engine import shares
from babyvlm_jax.evals.items import offered
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.scoring import Said
from babyvlm_jax.evals.tasks import MATCH, Task
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.ties import best_places


class Pair(NamedTuple):
    """One option: a picture of the item, by its number, and a text."""

    image: int
    text: str


def pairs_of(task: Task, record: Record) -> list[dict[str, Pair]]:
    """What is compared: per round, answer -> the pair that it stands for.

    They are the item's `pairs`, a list per round of (number of the picture, text), in
    the order of the letters; or else its `word` with each picture that is an option.

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
) -> list[Said]:
    """Answers each item by the scores of its pairs, the highest of a round.

    Args:
        predictor: scores a text under a picture.
        task: the task.
        plain: the items, which say what is compared.
        forms: the same or altered items, whose pictures are shown.
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
        said.append(Said(MATCH, "", replies, likelihoods))
    return said


def _score(predictor, plain, forms, rounds) -> list[dict[tuple[bytes, str], float]]:
    """Per item (picture, text) -> score; a pair that comes twice is asked for once."""
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
