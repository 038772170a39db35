"""Mechanisms `choice` and `match`: which answer, or which picture, is likeliest.

Axes: B batch, T tokens, V vocabulary. `choice` compares answers to one question,
`match` compares pictures for one word; both rest on `score_texts`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from babyvlm_jax.errors import UserError
from babyvlm_jax.evals.predictors import Predictor, fetch


@functools.lru_cache(maxsize=32)
def make_row_nll(forward: Callable) -> Callable:
    """Makes the jitted row scorer of a model; the same argument shares one.

    Args:
        forward: (params, batch) -> logits f32[B, T, V].

    Returns:
        row_nll(params, batch) -> f32[B], the summed negative log-likelihood of the
        targets under `loss_mask`.
    """

    def row_nll(params, batch):
        log_probs = jax.nn.log_softmax(forward(params, batch), axis=-1)
        targets = batch["targets"][..., None]
        nll = -jnp.take_along_axis(log_probs, targets, axis=-1)[..., 0]
        return jnp.sum(jnp.where(batch["loss_mask"], nll, 0.0), axis=-1)

    return jax.jit(row_nll)


def mask_prompt(encoded: Encoded, prompt_len: int) -> Encoded:
    """Unmarks the answers inside the prompt, so that only the last one is scored.

    loss_mask [0, 1, 1, 0, 0, 1, 1] with a prompt of 6 tokens gives
    [0, 0, 0, 0, 0, 1, 1]: position 5, the prompt's last, predicts the answer's first.
    """
    answered = np.arange(len(encoded.loss_mask)) >= prompt_len - 1
    return dataclasses.replace(encoded, loss_mask=encoded.loss_mask & answered)


def score_texts(
    predictor: Predictor,
    records: Sequence[Record],
    normalize: bool,
    progress: Callable[[float], object],
) -> np.ndarray:
    """Negative log-likelihood of each record's last assistant turn and its `<eos>`.

    Args:
        predictor: the checkpoint.
        records: conversations that end with the text to score.
        normalize: divide by the number of scored tokens (the V1 score); the plain sum
            is how likely the model is to say exactly this.
        progress: is told the number of newly scored records.

    Returns:
        f32[len(records)], lower is better.
    """
    row_nll = make_row_nll(predictor.model.forward)
    encoded = [_last_answer(predictor, record) for record in records]
    scores = np.zeros(len(records), np.float32)
    for indices, batch in predictor.batches(encoded):
        scores[indices] = fetch(row_nll(predictor.params, batch))[: len(indices)]
        progress(len(indices))
    if normalize:
        scores /= np.array([e.loss_mask.sum() for e in encoded], np.float32)
    return scores


def _last_answer(predictor, record) -> Encoded:
    prompt = predictor.encode(record, answer=False)
    whole = predictor.encode(record, answer=True)
    return mask_prompt(whole, len(prompt.tokens))


def choose(
    predictor: Predictor,
    records: Sequence[Record],
    offered: Sequence[Sequence[str]],
    normalize: bool,
    progress: Callable[[float], object],
) -> list[str]:
    """Picks the likeliest of the offered answers to each record's last question.

    Args:
        predictor: the checkpoint.
        records: questions, each ending with an assistant turn that is replaced.
        offered: per record the allowed answers.
        normalize: see `score_texts`.
        progress: is told the newly answered questions, in fractions.

    Returns:
        The chosen answers; the first of equals.
    """
    asked = [
        with_answer(record, answer)
        for record, answers in zip(records, offered, strict=True)
        for answer in answers
    ]
    share = len(records) / len(asked)
    scores = score_texts(predictor, asked, normalize, lambda n: progress(n * share))
    scores = iter(scores)
    return [
        answers[int(np.argmin([next(scores) for _ in answers]))] for answers in offered
    ]


def with_answer(record: Record, answer: str) -> Record:
    """The record with another last assistant turn."""
    return dataclasses.replace(record, turns=(*record.turns[:-1], (ASSISTANT, answer)))


def match_images(
    predictor: Predictor,
    records: Sequence[Record],
    normalize: bool,
    progress: Callable[[float], object],
) -> list[str]:
    """Picks, for each record's word, the picture that makes the word likeliest.

    Each picture is shown alone, as in an image-utterance record, so this asks a model
    that was never instructed what it knows about the word.

    Args:
        predictor: the checkpoint.
        records: items whose `meta` has `word` and whose pictures are the options.
        normalize: see `score_texts`.
        progress: is told the newly answered items, in fractions.

    Returns:
        Letters, `A` for the first picture; the first of equals.

    Raises:
        UserError: an item has no word.

    Source: BabyVLM (V1), Labeled-S image choice.
    """
    shown = [
        Record(
            id=f"{record.id}/{number}",
            source=record.source,
            images=(image,),
            turns=((HUMAN, IMAGE_MARK), (ASSISTANT, _word(record.meta, record.id))),
        )
        for record in records
        for number, image in enumerate(record.images)
    ]
    share = len(records) / len(shown)
    scores = score_texts(predictor, shown, normalize, lambda n: progress(n * share))
    scores = iter(scores)
    return [
        "ABCD"[int(np.argmin([next(scores) for _ in record.images]))]
        for record in records
    ]


def _word(meta: Mapping, item: str) -> str:
    if "word" not in meta:
        raise UserError(
            f"item {item!r} has no 'word' in its meta; the mechanism 'match' serves "
            "picture_vocabulary and lwl"
        )
    return meta["word"]
