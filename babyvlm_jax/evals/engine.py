"""Asks a checkpoint: prefill, extend, decode, likelihoods of answers.

A batch of dialogues is played round by round, all rows at the same time
(`Dialogues`). What was said stays in a key-value cache, so a round costs its own tokens
only; one question is a dialogue of one round. The model's own replies are the history:
in one batch those that it wrote, in another those that it chose. Both begin with the
same prompt, which is read once.

Axes: B batch, N new tokens, T tokens of all answers to one question, K answers, V
vocabulary.
"""

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.rows import decode
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from babyvlm_jax.data.templates import TEMPLATES
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.items import num_rounds, round_record
from babyvlm_jax.evals.predictors import (
    MAX_NEW_TOKENS,
    Choices,
    Likelihoods,
    Predictor,
    Replies,
)
from babyvlm_jax.evals.reader import Features, Reader, RowTokens, fetch, plan
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.ties import best_places


@functools.lru_cache(maxsize=32)
def make_greedy(decode_step: Callable, max_new_tokens: int, eos_id: int) -> Callable:
    """Makes the jitted greedy decoder of a model; the same arguments share one.

    It compiles once per shape of the cache. A row stops at its first `<eos>`; the
    loop stops when all rows have.

    Args:
        decode_step: (params, cache, tokens i32[B]) -> (logits f32[B, V], cache).
        max_new_tokens: N, where generation is cut off; the cache has room for them.
        eos_id: token that ends a row.

    Returns:
        greedy(params, logits f32[B, V], cache) -> i32[B, N], filled with `<eos>`
        after a row's end; `logits` are those of the first new token.
    """

    def greedy(params, logits, cache):
        last = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        output = jnp.full((len(last), max_new_tokens), eos_id, jnp.int32)
        output = output.at[:, 0].set(last)

        def unfinished(state):
            step, done = state[0], state[2]
            return (step < max_new_tokens) & ~jnp.all(done)

        def go_on(state):
            step, last, done, output, cache = state
            logits, cache = decode_step(params, cache, last)
            token = jnp.argmax(logits, axis=-1).astype(jnp.int32)
            token = jnp.where(done, eos_id, token)
            output = output.at[:, step].set(token)
            return step + 1, token, done | (token == eos_id), output, cache

        state = (jnp.int32(1), last, last == eos_id, output, cache)
        return jax.lax.while_loop(unfinished, go_on, state)[3]

    return jax.jit(greedy)


def detokenize(tokenizer: Tokenizer, row: np.ndarray) -> str:
    """Text of the tokens before the first `<eos>`, stripped of surrounding space.

    The official strip comes before scoring: the official direction scorer would count
    the space that begins a generated answer as an error. Ids that the tokenizer lacks
    leave no trace: the model's table may be wider.
    """
    tokens = row.tolist()
    if tokenizer.eos_id in tokens:
        tokens = tokens[: tokens.index(tokenizer.eos_id)]
    known = [token for token in tokens if token < tokenizer.vocab_size]
    return tokenizer.decode(known).strip()


ANSWERS_STEP = 16  # ours: T and K are multiples of it, to compile rarely


class AnswerTokens(NamedTuple):
    """One answer's tokens and its `<eos>`; `counted` says which are scored."""

    ids: np.ndarray
    counted: np.ndarray


@functools.lru_cache(maxsize=8)
def make_scores(branch: Callable) -> Callable:
    """Makes the jitted scorer of a model; the same argument shares one.

    Returns:
        scores(params, logits f32[B, V], cache, batch, firsts) -> f32[B, K], the
        log-likelihood of each answer. `logits` are those after the cached prompt;
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
    dialogues: "Dialogues", answers: Sequence[Sequence[AnswerTokens]], normalize: bool
) -> list[np.ndarray]:
    """Log-likelihoods of the answers to each row's last question.

    Args:
        dialogues: with the questions, and room for `answer_room(answers)` tokens.
        answers: per row those that are offered.
        normalize: divide by the number of counted tokens (the V1 score); the plain
            sum is how likely the model is to say exactly this.

    Returns:
        Per row f64[number of its answers]; -inf for one of which no token counts, as
        of words that the tokenizer does not know.
    """
    reader = dialogues.reader
    pieces = [branches(offered) for offered in answers]
    # answers show no image, so that one image's tokens serve
    visual = {"visual": dialogues.features.table[:1]}
    batch = reader.put(pieces, answer_room(answers)) | visual
    firsts = [
        RowTokens(
            np.array([answer.ids[0] for answer in offered]),
            loss_mask=np.array([answer.counted[0] for answer in offered]),
        )
        for offered in answers
    ]
    firsts = reader.put(firsts, _padded(max(map(len, answers))))
    found = make_scores(reader.model.branch)(
        reader.params,
        dialogues.logits,
        dialogues.cache,
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


def branches(answers: Sequence[AnswerTokens]) -> RowTokens:
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
    return RowTokens(
        tokens=joined(answer.ids[:-1] for answer in answers),
        segment_ids=joined(np.full(n, k + 1) for k, n in enumerate(sizes)),
        positions=joined(np.arange(n) for n in sizes),
        targets=joined(answer.ids[1:] for answer in answers),
        loss_mask=joined((answer.counted[1:] for answer in answers), bool),
    )


def answer_room(answers: Sequence[Sequence[AnswerTokens]]) -> int:
    """T: places that the answers to any one question take, to a multiple of 16."""
    return _padded(max(sum(len(a.ids) - 1 for a in offered) for offered in answers))


def _padded(number: int) -> int:
    return max(1, -(-number // ANSWERS_STEP)) * ANSWERS_STEP


def encode_answer(
    reader: Reader,
    record: Record,
    text: str,
    score_eos: bool = True,
    score_unknown: bool = False,
) -> AnswerTokens:
    """Tokens of `text` as the answer to a record's last human turn.

    Args:
        reader: the checkpoint.
        record: ends with the question, or with an answer that does not matter.
        text: the answer.
        score_eos: whether the <eos> after it counts.
        score_unknown: whether <unk> counts, which training never asks for.
    """
    question = [said for role, said in record.turns if role == HUMAN][-1]
    asked = dataclasses.replace(
        record,
        images=record.images[len(record.images) - question.count(IMAGE_MARK) :],
        turns=((HUMAN, question), (ASSISTANT, text)),
    )
    start = len(reader.encode(asked, answer=False, closed=False).tokens) - 1
    whole = reader.encode(asked, answer=True)
    ids, counted = whole.targets[start:], whole.loss_mask[start:].copy()
    if not score_eos:
        counted &= ids != reader.tokenizer.eos_id
    if score_unknown:
        counted |= ids == reader.tokenizer.unk_id
    return AnswerTokens(ids, counted)


def shares(log_likelihoods: np.ndarray) -> np.ndarray:
    """Likelihoods among the answers alone: f64[K] that sum to 1."""
    if np.max(log_likelihoods) == -np.inf:
        return np.full(len(log_likelihoods), 1 / len(log_likelihoods))
    spread = np.exp(log_likelihoods - np.max(log_likelihoods))
    return spread / spread.sum()


_STEP = 32  # ours: lengths of later rounds are multiples of it, to compile rarely
_NOTHING = RowTokens(np.zeros(0, np.int32))


@functools.lru_cache(maxsize=8)
def make_steps(prefill: Callable, extend: Callable) -> tuple[Callable, Callable]:
    """Makes the jitted first and later steps of a model.

    Returns:
        first(params, batch, num_slots) and later(params, cache, batch), each ->
        (logits f32[B, V] of what follows, cache).
    """
    return jax.jit(prefill, static_argnums=2), jax.jit(extend)


@functools.partial(jax.jit, static_argnums=1)
def grow(cache: Any, num_slots: int) -> Any:
    """The cache with so many slots."""
    more = num_slots - cache["k"].shape[2]
    pad = ((0, 0), (0, 0), (0, more), (0, 0), (0, 0))
    return cache | {name: jnp.pad(cache[name], pad) for name in ("k", "v")}


@dataclasses.dataclass
class Dialogues:
    """A batch of dialogues, each with one history, in a key-value cache.

    Attributes:
        reader: the checkpoint.
        features: visual tokens of all images of the records.
        records: the dialogues.
        room: slots that are kept free after a question, for an answer.
        said: per row the replies so far; after `read`, as what follows.
        logits: f32[B, V] of what follows the last question.
        cache: keys and values of all that was said.
    """

    reader: Reader
    features: Features
    records: Sequence[Record]
    room: int

    def begin(self, closed: bool) -> "Dialogues":
        """Reads the first question of every row; `closed` as in `Reader.encode`."""
        encode = self.reader.encode_prompt
        prompts = [encode(round_record(one, []), closed) for one in self.records]
        return self.read(prompts, max(len(encode(r).tokens) for r in self.records))

    def read(self, prompts: Sequence[Encoded], longest: int) -> "Dialogues":
        """Reads prompts into a cache that has room for `longest` tokens and answers."""
        self._prompts = list(prompts)
        self.said: list[list[str]] = [[] for _ in prompts]
        length = self.reader.bucket(max(len(prompt.tokens) for prompt in prompts))
        slots = max(self._num_slots(longest), length + self.room)
        pieces = [self.features.row_tokens(prompt) for prompt in prompts]
        self.logits, self.cache = self._steps[0](
            self.reader.params, self._batch(pieces, length), slots
        )
        return self

    def copy(self) -> "Dialogues":
        """Another history that begins with the same question."""
        other = copy.copy(self)
        other._prompts, other.said = [*self._prompts], [[] for _ in self.said]
        return other

    def ask(self, number: int) -> None:
        """Appends the last replies and the next question of the rows that have one."""
        pieces = []
        for row, record in enumerate(self.records):
            if number >= num_rounds(record):
                pieces.append(_NOTHING)
                continue
            asked = self.reader.encode_prompt(round_record(record, self.said[row]))
            known = self._prompts[row]
            check_prefix(known, asked)
            pieces.append(self.features.row_tokens(asked, len(known.tokens)))
            self._prompts[row] = asked
        longest = max(len(piece.tokens) for piece in pieces)
        if not longest:  # the context is full: the same prompt again
            return
        # slots for the longest row and what is written after it
        need = self._num_slots(max(len(prompt.tokens) for prompt in self._prompts))
        if need > self.cache["k"].shape[2]:
            self.cache = grow(self.cache, need)
        batch = self._batch(pieces, -(-longest // _STEP) * _STEP)
        logits, self.cache = self._steps[1](self.reader.params, self.cache, batch)
        is_new = np.zeros((len(logits), 1), bool)
        is_new[: len(pieces), 0] = [len(piece.tokens) > 0 for piece in pieces]
        self.logits = jnp.where(is_new, logits, self.logits)

    @property
    def _steps(self):
        return make_steps(self.reader.model.prefill, self.reader.model.extend)

    def _num_slots(self, length: int) -> int:
        """Slots of a cache for dialogues of so many tokens."""
        return self.reader.bucket(length) + self.room

    def _batch(self, pieces, length) -> dict[str, jax.Array]:
        """Pieces on the devices, with the images that they point to."""
        return self.reader.put(pieces, length) | {"visual": self.features.table}


def check_prefix(known: Encoded, asked: Encoded) -> None:
    """Raises UserError unless a round's prompt begins with the one before."""
    count = len(known.tokens)
    if not np.array_equal(known.tokens, asked.tokens[:count]):
        raise UserError(
            f"record {asked.id!r}: the prompt of a round does not begin with that of "
            "the round before, so that it cannot be asked round by round; use a "
            "template that appends turns, as baby_v1"
        )


def score_last(reader: Reader, record: Record, answers: Sequence[str]) -> np.ndarray:
    """f64[answers]: log-likelihoods of answers to a record's last question.

    The record's own earlier answers are the history; its last one is not shown.
    """
    features = Features(reader)
    features.hold(record.images)
    ids = [encode_answer(reader, record, answer) for answer in answers]
    prompt = reader.encode_prompt(record, closed=False)
    dialogues = Dialogues(reader, features, [record], answer_room([ids]))
    dialogues.read([prompt], len(prompt.tokens))
    return score_answers(dialogues, [ids], normalize=False)[0]


@dataclasses.dataclass
class CheckpointPredictor(Predictor):
    """One of our checkpoints.

    Attributes:
        reader: the checkpoint and the way it reads records.
        max_new_tokens: where a written answer is cut off.
        normalize: likelihoods are per token, as BabyVLM V1's.
        score_eos: the <eos> after an answer counts; V1's does not.
        score_unknown: so do its words that the tokenizer does not know, as in V1.
    """

    reader: Reader
    max_new_tokens: int = MAX_NEW_TOKENS
    normalize: bool = False
    score_eos: bool = True
    score_unknown: bool = False

    def __post_init__(self):
        self._features = Features(self.reader)

    def generate(self, items: Sequence[Record]) -> Replies:
        return self._play(items, None, self.max_new_tokens)[0]

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        return self._play(items, choices, 0)[1]

    def answer(
        self, items: Sequence[Record], choices: Sequence[Choices]
    ) -> tuple[Replies, Likelihoods]:
        return self._play(items, choices, self.max_new_tokens)

    def beyond_context(self, items: Sequence[Record]) -> list[int]:
        lengths = [len(self.reader.encode(i, answer=False).tokens) for i in items]
        return [length for length in lengths if self.reader.is_beyond(length)]

    def counting_eos(self) -> "CheckpointPredictor":
        return dataclasses.replace(self, score_eos=True)

    def _play(self, items, choices, max_new_tokens) -> tuple[Replies, Likelihoods]:
        """Plays dialogues in batches of similar length.

        Args:
            items: their assistant turns are the right answers and are never shown.
            choices: per item and round the answers to be scored; None scores none.
            max_new_tokens: where a written answer is cut off; 0 writes none.

        Raises:
            UserError: an image cannot be decoded; names the item.
        """
        try:
            self._features.hold(image for item in items for image in item.images)
        except UserError:
            for item in items:
                decode(item.id, item.images, self.reader.image_size)  # says which
            raise
        lengths = [len(self.reader.encode_prompt(item).tokens) for item in items]
        replies: Replies = [[] for _ in items]
        likelihoods: Likelihoods = [[] for _ in items]
        for batch in plan(lengths, self.reader):
            some = choices and [choices[i] for i in batch]
            rounds = self._play_batch([items[i] for i in batch], some, max_new_tokens)
            for texts, scores in rounds:
                for row, text in texts.items():
                    replies[batch[row]].append(text)
                for row, values in scores.items():
                    likelihoods[batch[row]].append(values)
        return replies, likelihoods

    def _play_batch(self, records, choices, max_new_tokens):
        """Yields per round what the rows that have one wrote, and their likelihoods."""
        reader, model = self.reader, self.reader.model
        offered = self._offered(records, choices) if choices else []
        room = max([max_new_tokens, *map(answer_room, offered)])
        make = functools.partial(Dialogues, reader, self._features, records, room)
        writes = make().begin(closed=True) if max_new_tokens else None
        if not choices:
            chooses = None
        elif writes and not TEMPLATES[reader.template].wrapped:
            chooses = writes.copy()
        else:
            chooses = make().begin(closed=False)
        for number in range(max(map(num_rounds, records))):
            going = [i for i, r in enumerate(records) if number < num_rounds(r)]
            texts, scores = {}, {}
            if writes:
                if number:
                    writes.ask(number)
                greedy = make_greedy(
                    model.decode_step, max_new_tokens, reader.tokenizer.eos_id
                )
                rows = fetch(greedy(reader.params, writes.logits, writes.cache))
                for row in going:
                    texts[row] = detokenize(reader.tokenizer, rows[row])
                    writes.said[row].append(texts[row])
            if chooses:
                if number:
                    chooses.ask(number)
                found = score_answers(chooses, offered[number], self.normalize)
                for row in going:
                    scores[row] = found[row]
                    first, *_ = best_places(found[row])
                    chooses.said[row].append(choices[row][number][first])
            yield texts, scores

    def _offered(self, records, choices) -> list[list[list[AnswerTokens]]]:
        """Per round and row the offered answers' tokens; an ended row repeats."""
        known: dict[tuple[str, str], AnswerTokens] = {}  # by question and text

        def encoded(asked, text):
            key = asked.turns[-2][1], text
            if key not in known:
                how = self.score_eos, self.score_unknown
                known[key] = encode_answer(self.reader, asked, text, *how)
            return known[key]

        rows = [
            [
                [encoded(round_record(record, [""] * number), text) for text in texts]
                for number, texts in enumerate(rounds)
            ]
            for record, rounds in zip(records, choices, strict=True)
        ]
        longest = max(map(len, rows))
        return [
            [row[min(number, len(row) - 1)] for row in rows]
            for number in range(longest)
        ]
