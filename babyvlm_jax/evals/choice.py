"""How likely each of some answers is, all in one pass behind a shared cache.

Axes: B batch, T tokens of all answers to one question, K answers, V vocabulary.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from babyvlm_jax.evals.reader import Piece, Reader, fetch

ANSWERS_STEP = 16  # ours: T and K are multiples of it, to compile rarely


class Answer(NamedTuple):
    """One answer's tokens and its `<eos>`; `counted` says which are scored."""

    ids: np.ndarray
    counted: np.ndarray


@functools.lru_cache(maxsize=8)
def make_scores(branch: Callable) -> Callable:
    """Makes the jitted scorer of a model; the same argument shares one.

    Returns:
        scores(params, logits f32[B, V], cache, batch, firsts) -> f32[B, K], the
        log-likelihood of each answer. `logits` are those behind the cached prompt;
        `firsts` are first ids i32[B, K] and whether they count, bool[B, K]; segment
        k + 1 of the batch holds what follows in answer k.
    """

    def scores(params, logits, cache, batch, firsts):
        ids, counted = firsts["ids"], firsts["counted"]
        first = jnp.take_along_axis(jax.nn.log_softmax(logits), ids, axis=1)
        after = jax.nn.log_softmax(branch(params, cache, batch))
        said = jnp.take_along_axis(after, batch["targets"][..., None], axis=2)[..., 0]
        said = jnp.where(batch["loss_mask"], said, 0.0)
        owner = batch["segment_ids"][..., None] == 1 + jnp.arange(ids.shape[1])
        rest = jnp.sum(jnp.where(owner, said[..., None], 0.0), axis=1)
        return jnp.where(counted, first, 0.0) + rest

    return jax.jit(scores)


def score_answers(
    reader: Reader,
    table: jax.Array,
    logits: jax.Array,
    cache,
    answers: Sequence[Sequence[Answer]],
    normalize: bool,
) -> list[np.ndarray]:
    """Log-likelihoods of the answers to each row's question.

    Args:
        reader: the checkpoint.
        table: visual tokens; answers show none, so that one picture's serve.
        logits: f32[B, V] of what follows the question.
        cache: holds the question, and has room for `room(answers)` tokens.
        answers: per row those that are offered.
        normalize: divide by the number of counted tokens (the V1 score); the plain
            sum is how likely the model is to say exactly this.

    Returns:
        Per row f64[number of its answers]; -inf for one of which no token counts, as
        of words that the tokenizer does not know.
    """
    pieces = [branches(offered) for offered in answers]
    batch = reader.put(pieces, room(answers)) | {"visual": table[:1]}
    width = _padded(max(len(offered) for offered in answers))
    firsts = [_firsts(offered, width) for offered in answers]
    firsts = reader.put(firsts, width)
    found = make_scores(reader.model.branch)(
        reader.params,
        logits,
        cache,
        batch,
        {"ids": firsts["tokens"], "counted": firsts["loss_mask"]},
    )
    rows = fetch(found).astype(np.float64)
    scores = []
    for row, offered in zip(rows, answers, strict=False):
        counts = np.array([answer.counted.sum() for answer in offered])
        said = row[: len(offered)] / (np.maximum(counts, 1) if normalize else 1)
        scores.append(np.where(counts > 0, said, -np.inf))
    return scores


def branches(answers: Sequence[Answer]) -> Piece:
    """All answers as segments of one piece; each predicts its second token on.

    Answers [7, eos] and [8, 9, eos]:

        tokens       [7, 8, 9]
        segment_ids  [1, 2, 2]
        positions    [0, 0, 1]
        targets      [eos, 9, eos]
    """

    def joined(parts, dtype=np.int32):
        return np.concatenate([np.asarray(part, dtype) for part in parts])

    sizes = [len(answer.ids) - 1 for answer in answers]
    return Piece(
        tokens=joined(answer.ids[:-1] for answer in answers),
        segment_ids=joined(np.full(n, k + 1) for k, n in enumerate(sizes)),
        positions=joined(np.arange(n) for n in sizes),
        targets=joined(answer.ids[1:] for answer in answers),
        loss_mask=joined((answer.counted[1:] for answer in answers), bool),
    )


def room(answers: Sequence[Sequence[Answer]]) -> int:
    """T: places that the answers to any one question take, to a multiple of 16."""
    return _padded(max(sum(len(a.ids) - 1 for a in offered) for offered in answers))


def _padded(number: int) -> int:
    return max(1, -(-number // ANSWERS_STEP)) * ANSWERS_STEP


def _firsts(answers, width) -> Piece:
    ids = np.zeros(width, np.int32)
    counted = np.zeros(width, bool)
    for k, answer in enumerate(answers):
        ids[k], counted[k] = answer.ids[0], answer.counted[0]
    return Piece(ids, loss_mask=counted)


class AnswerIds:
    """The tokens of answers; each text is looked up once for each question.

    Args:
        reader: the checkpoint.
        score_eos: whether the <eos> behind an answer counts.
        score_unknown: whether <unk> counts, which training never asks for.
    """

    def __init__(
        self, reader: Reader, score_eos: bool = True, score_unknown: bool = False
    ):
        self._reader = reader
        self._score_eos, self._score_unknown = score_eos, score_unknown
        self._known: dict[tuple[str, str], Answer] = {}

    def __call__(self, record: Record, text: str) -> Answer:
        """Tokens of `text` as the answer to a record's last human turn."""
        turns = record.turns[:-1] if record.turns[-1][0] == ASSISTANT else record.turns
        question = turns[-1][1]
        key = question, text
        if key not in self._known:
            marks = question.count(IMAGE_MARK)
            asked = Record(
                id=record.id,
                source=record.source,
                images=record.images[len(record.images) - marks :],
                turns=((HUMAN, question), (ASSISTANT, text)),
            )
            before = self._reader.encode(asked, answer=False, closed=False)
            start = len(before.tokens) - 1
            whole = self._reader.encode(asked, answer=True)
            ids, counted = whole.targets[start:], whole.loss_mask[start:].copy()
            if not self._score_eos:
                counted &= ids != self._reader.tokenizer.eos_id
            if self._score_unknown:
                counted |= ids == self._reader.tokenizer.unk_id
            self._known[key] = Answer(ids, counted)
        return self._known[key]


def shares(log_likelihoods: np.ndarray) -> np.ndarray:
    """Likelihoods among the answers alone: f64[K] that sum to 1."""
    if np.max(log_likelihoods) == -np.inf:
        return np.full(len(log_likelihoods), 1 / len(log_likelihoods))
    spread = np.exp(log_likelihoods - np.max(log_likelihoods))
    return spread / spread.sum()
