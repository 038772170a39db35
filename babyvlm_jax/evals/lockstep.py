"""A batch of dialogues, played round by round, all rows at the same time.

What was said stays in a key-value cache, so a round costs its own tokens only. One
question is a dialogue of one round. The model's own replies are the history, in one
thread those that it wrote, in another those that it chose; both begin with the same
prompt, which is read once.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import choice
from babyvlm_jax.evals.decode import detokenize, make_greedy
from babyvlm_jax.evals.dialogue import num_rounds, round_record
from babyvlm_jax.evals.reader import Features, Piece, Reader, fetch
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.ties import best_places

_STEP = 32  # ours: lengths of later rounds are multiples of it, to compile rarely
_NOTHING = Piece(np.zeros(0, np.int32))

Choices = Sequence[Sequence[str]]  # per round the offered answers


class Played(NamedTuple):
    """What came of one dialogue.

    Attributes:
        replies: per round what the model wrote, where it was asked to.
        likelihoods: per round the log-likelihood of each offered answer.
    """

    replies: list[str]
    likelihoods: list[np.ndarray]


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


class Thread:
    """One history of each dialogue of a batch.

    Attributes:
        said: per row the replies so far.
        logits: f32[B, V] of what follows the last question.
        cache: keys and values of all that was said.
    """

    def __init__(self, table: "Table", logits, cache, prompts: Sequence[Encoded]):
        self._table = table
        self._prompts = list(prompts)
        self.said: list[list[str]] = [[] for _ in prompts]
        self.logits, self.cache = logits, cache

    def copy(self) -> "Thread":
        """Another history that begins with the same question."""
        return Thread(self._table, self.logits, self.cache, self._prompts)

    def ask(self, number: int) -> None:
        """Appends the last replies and the next question of the rows that have one."""
        table, rows = self._table, self._table.records
        pieces = []
        for row, record in enumerate(rows):
            if number >= num_rounds(record):
                pieces.append(_NOTHING)
                continue
            asked = table.reader.encode_prompt(round_record(record, self.said[row]))
            known = self._prompts[row]
            check_prefix(known, asked)
            pieces.append(table.features.piece(asked, len(known.tokens)))
            self._prompts[row] = asked
        longest = max(len(piece.tokens) for piece in pieces)
        if not longest:  # the context is full: the same prompt again
            return
        length = -(-longest // _STEP) * _STEP
        self._make_room()
        logits, self.cache = table.later(
            table.reader.params, self.cache, table.batch(pieces, length)
        )
        is_new = np.zeros((len(logits), 1), bool)
        is_new[: len(pieces), 0] = [len(piece.tokens) > 0 for piece in pieces]
        self.logits = jnp.where(is_new, logits, self.logits)

    def _make_room(self) -> None:
        """Slots for the longest row and what is written behind it."""
        longest = max(len(prompt.tokens) for prompt in self._prompts)
        need = self._table.num_slots(longest)
        if need > self.cache["k"].shape[2]:
            self.cache = grow(self.cache, need)


class Table(NamedTuple):
    """What the threads of a batch share.

    Attributes:
        reader: the checkpoint.
        features: visual tokens of all pictures of the records.
        records: the dialogues.
        room: slots that are kept free behind a question, for an answer.
    """

    reader: Reader
    features: Features
    records: Sequence[Record]
    room: int

    @property
    def later(self) -> Callable:
        """The jitted step of later rounds."""
        return make_steps(self.reader.model.prefill, self.reader.model.extend)[1]

    def num_slots(self, length: int) -> int:
        """Slots of a cache for dialogues of so many tokens."""
        return self.reader.bucket(length) + self.room

    def batch(self, pieces: Sequence[Piece], length: int) -> dict[str, jax.Array]:
        """Pieces on the devices, with the pictures that they point to."""
        return self.reader.put(pieces, length) | {"visual": self.features.table}

    def begin(self, closed: bool) -> "Thread":
        """Reads the first question of every row; `closed` as in `Reader.encode`."""
        reader = self.reader
        prompts = [
            reader.encode_prompt(round_record(record, []), closed)
            for record in self.records
        ]
        whole = max(len(reader.encode_prompt(r).tokens) for r in self.records)
        length = reader.bucket(max(len(prompt.tokens) for prompt in prompts))
        slots = max(self.num_slots(whole), length + self.room)
        pieces = [self.features.piece(prompt) for prompt in prompts]
        first, _ = make_steps(reader.model.prefill, reader.model.extend)
        logits, cache = first(reader.params, self.batch(pieces, length), slots)
        return Thread(self, logits, cache, prompts)


def check_prefix(known: Encoded, asked: Encoded) -> None:
    """Raises UserError unless a round's prompt begins with the one before."""
    count = len(known.tokens)
    if not np.array_equal(known.tokens, asked.tokens[:count]):
        raise UserError(
            f"record {asked.id!r}: the prompt of a round does not begin with that of "
            "the round before, so that it cannot be asked round by round; use a "
            "template that appends turns, as baby_v1"
        )


def play(
    reader: Reader,
    features: Features,
    records: Sequence[Record],
    choices: Sequence[Choices] | None,
    max_new_tokens: int,
    normalize: bool,
    score_eos: bool = True,
    score_unknown: bool = False,
) -> list[Played]:
    """Plays dialogues, as many as a batch has rows at most.

    Args:
        reader: the checkpoint.
        features: hold the pictures of the records.
        records: dialogues of alternating human and assistant turns; their assistant
            turns are the right answers and are never shown.
        choices: per record and round the answers to be scored; None scores none.
        max_new_tokens: where a written answer is cut off; 0 writes none.
        normalize: see `choice.score_answers`.
        score_eos, score_unknown: see `choice.AnswerIds`.

    Returns:
        What came of each.
    """
    answer_ids = choice.AnswerIds(reader, score_eos, score_unknown)
    offered = _offered_ids(answer_ids, records, choices)
    room = max([max_new_tokens, *(choice.room(one) for one in offered)])
    table = Table(reader, features, records, room)
    writes = table.begin(closed=True) if max_new_tokens else None
    if not choices:
        chooses = None
    elif writes and not reader.closes_prompts:
        chooses = writes.copy()
    else:
        chooses = table.begin(closed=False)
    played = [Played([], []) for _ in records]
    for number in range(max(map(num_rounds, records))):
        going = [i for i, r in enumerate(records) if number < num_rounds(r)]
        if writes:
            if number:
                writes.ask(number)
            texts = _write(reader, writes, max_new_tokens)
            for row in going:
                writes.said[row].append(texts[row])
                played[row].replies.append(texts[row])
        if chooses:
            if number:
                chooses.ask(number)
            scores = choice.score_answers(
                reader,
                features.table,
                chooses.logits,
                chooses.cache,
                offered[number],
                normalize,
            )
            for row in going:
                first, *_ = best_places(scores[row])
                chooses.said[row].append(choices[row][number][first])
                played[row].likelihoods.append(scores[row])
    return played


def _write(reader, thread, max_new_tokens) -> list[str]:
    greedy = make_greedy(
        reader.model.decode_step, max_new_tokens, reader.tokenizer.eos_id
    )
    rows = fetch(greedy(reader.params, thread.logits, thread.cache))
    return [detokenize(reader.tokenizer, row) for row in rows]


def _offered_ids(answer_ids, records, choices):
    """Per round and row the offered answers' tokens; a row that has ended repeats."""
    if not choices:
        return []
    rounds = max(map(num_rounds, records))
    asked = [
        [round_record(record, [""] * number) for number in range(num_rounds(record))]
        for record in records
    ]
    return [
        [
            [answer_ids(turns[place], text) for text in texts[place]]
            for turns, texts in zip(asked, choices, strict=True)
            for place in [min(number, len(turns) - 1)]
        ]
        for number in range(rounds)
    ]


def score_last(reader: Reader, record: Record, answers: Sequence[str]) -> np.ndarray:
    """f64[answers]: log-likelihoods of answers to a record's last question.

    The record's own earlier answers are the history; its last one is not shown.
    """
    features = Features(reader)
    features.hold(record.images)
    ids = [choice.AnswerIds(reader)(record, answer) for answer in answers]
    prompt = reader.encode_prompt(record, closed=False)
    length = reader.bucket(len(prompt.tokens))
    table = Table(reader, features, [record], choice.room([ids]))
    first, _ = make_steps(reader.model.prefill, reader.model.extend)
    logits, cache = first(
        reader.params,
        table.batch([features.piece(prompt)], length),
        table.num_slots(length),
    )
    (scores,) = choice.score_answers(
        reader, features.table, logits, cache, [ids], normalize=False
    )
    return scores
