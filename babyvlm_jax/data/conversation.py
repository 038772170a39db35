"""A record as one token sequence: visual positions, targets, loss mask.

Ids and mask are built together, so that they cannot disagree. What the templates say
is in `templates`; packing several sequences into a row is `rows`' business.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, IMAGE_MARK, Record
from babyvlm_jax.data.templates import TEMPLATES, Span, check_template
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError


class DoesNotFit(UserError):
    """Not even the first answer of a record fits a row."""


class Stop(NamedTuple):
    """What a record holds up to the end of an answer.

    Attributes:
        tokens: input ids, if the record ended here.
        images: distinct pictures.
        words: tokens of answers that the tokenizer knows, <eos> not counted.
    """

    tokens: int
    images: int
    words: int


@dataclasses.dataclass(frozen=True)
class Encoded:
    """One record, tokenised.

    Attributes:
        id: the record's id.
        tokens: i32[n] input ids; 0, unused, at visual positions.
        targets: i32[n] the token after each position; 0 where there is none.
        loss_mask: bool[n] True where the target is an assistant's word or its <eos>.
        visual_index: i32[n] index into the record's images' visual tokens, laid end
            to end; -1 for text.
        images: the encoded pictures that the indices point into.
        truncated: later turns were left out for want of room.
        stops: where the record may be cut: at the end of each answer.
    """

    id: str
    tokens: np.ndarray
    targets: np.ndarray
    loss_mask: np.ndarray
    visual_index: np.ndarray
    images: tuple[bytes, ...]
    truncated: bool = False
    stops: tuple[Stop, ...] = ()


def encode(
    record: Record,
    tokenizer: Tokenizer,
    template: str,
    tokens_per_image: int,
    answer: bool = True,
    dedupe_images: bool = True,
    room: tuple[int, int] | None = None,
    closed: bool = True,
) -> Encoded:
    """Tokenises a record under a template.

    One <sos> in front, each answer closed by <eos>. The last token has no successor
    in the record, so with `answer` it is a target only:

        turns    human "<image>", assistant "a ball"; baby_plain, 2 tokens an image
        tokens   [sos,   0,   0,   a, ball]
        visual   [ -1,   0,   1,  -1,   -1]
        targets  [  0,   0,   a, ball, eos]
        mask     [  0,   0,   1,    1,   1]

    Args:
        record: the conversation; its last turn is the answer, if an assistant's.
        tokenizer: its ids go into the arrays.
        template: a name in `templates.TEMPLATES`: `baby_v1` ("USER: ... ASSISTANT:
            ..."), `baby_plain` and `plain` (pictures, then the answer; a human's words
            are left out), or a form of these that an original used.
        tokens_per_image: visual positions that a picture takes.
        answer: False stops before the last answer: the prompt for generation.
        dedupe_images: pictures with the same bytes share their visual tokens.
        room: (tokens, images) of a row; a record that needs more loses its last turns,
            up to an answer that fits. Not for prompts.
        closed: a prompt of `plain_wrapped` ends with the <eos> that its last chunk
            gets; off, it is what the record has before its answer.

    Returns:
        The arrays. Words that are <unk> are masked.

    Raises:
        UserError: an unknown template, or a record without turns.
        DoesNotFit: no answer of the record fits `room`.

    Source: the training code of BabyVLM V1 (arXiv 2504.09426) and V2 (2512.10932).
    """
    check_template(template)
    if not record.turns:
        raise UserError(
            f"record {record.id!r} (source {record.source!r}) has no turns, so there "
            "is nothing to say about it; use a dataset of conversations"
        )
    turns = record.turns
    if not answer and turns[-1][0] == ASSISTANT:
        turns = turns[:-1]
    form = TEMPLATES[template]
    if form.wrapped and (len(record.images), len(record.turns)) != (1, 2):
        raise UserError(
            f"record {record.id!r} has {len(record.images)} pictures and "
            f"{len(record.turns)} turns; template {template!r} is for one picture and "
            "two turns, use 'plain'"
        )
    layout = _Layout(record, tokenizer, form, tokens_per_image, dedupe_images)
    for span in form.spans(turns, not answer):
        layout.add(span)
    if not answer:
        return layout.prompt(closed)
    truncated = room is not None and layout.cut(room)
    return layout.example(truncated)


class _Layout:
    """The record's parts in order: a text token, or a picture with all its tokens."""

    def __init__(self, record, tokenizer, template, tokens_per_image, dedupe_images):
        self._record, self._tokenizer, self._template = record, tokenizer, template
        self._tokens_per_image = tokens_per_image
        self._dedupe_images = dedupe_images
        self._pictures = enumerate(record.images)
        self._slots: dict[object, int] = {}  # picture (or its place) -> slot
        self._images: list[bytes] = []
        # of each part: its id, is it supervised, the slot of a picture or -1
        self._ids: list[int] = []
        self._supervised: list[bool] = []
        self._unknown: list[bool] = []  # words only: the <eos> may have the same id
        self._slot_of: list[int] = []
        self._length = 0  # tokens so far
        self._words = 0
        self._stops: list[tuple[int, Stop]] = []  # behind how many parts
        if template.specials:
            self._add_ids([tokenizer.sos_id], False)

    def add(self, span: Span) -> None:
        for number, chunk in enumerate(span.text.split(IMAGE_MARK)):
            if number:
                self._add_picture()
            if not self._template.verbatim:
                chunk = " ".join(chunk.split())
            ids = self._tokenizer.encode(chunk)
            self._add_ids(ids, span.is_answer, self._tokenizer.unk_id)
            if span.is_answer:
                self._words += self._count_known(ids)
        if span.is_answer:
            if self._template.specials:
                self._add_ids([self._tokenizer.eos_id], True)
            if self._template.wrapped:  # hides w1, or the <eos> of no words
                self._supervised[self._supervised.index(True)] = False
            stop = Stop(self._length - 1, len(self._images), self._words)
            self._stops.append((len(self._ids), stop))

    def _count_known(self, ids):
        known = [token for token in ids if token != self._tokenizer.unk_id]
        if len(known) == len(ids):
            return len(ids)
        # sentencepiece makes a piece of the blank before an unknown letter
        return len(known) if self._tokenizer.decode(known).strip() else 0

    def _add_ids(self, ids, is_answer, unk_id=None):
        self._ids.extend(ids)
        self._unknown.extend(index == unk_id for index in ids)
        self._supervised.extend([is_answer] * len(ids))
        self._slot_of.extend([-1] * len(ids))
        self._length += len(ids)

    def _add_picture(self):
        if self._template.wrapped:
            self._add_ids([self._tokenizer.eos_id], False)
        place, picture = next(self._pictures)
        key = picture if self._dedupe_images else place
        slot = self._slots.setdefault(key, len(self._images))
        if slot == len(self._images):
            self._images.append(picture)
        self._ids.append(0)
        self._supervised.append(False)
        self._unknown.append(False)
        self._slot_of.append(slot)
        self._length += self._tokens_per_image

    def cut(self, room: tuple[int, int]) -> bool:
        """Drops the last turns that do not fit; False if all do."""
        tokens, images = room
        if self._length - 1 <= tokens and len(self._images) <= images:
            return False
        fitting = [
            (parts, stop)
            for parts, stop in self._stops
            if stop.tokens <= tokens and stop.images <= images
        ]
        if not fitting:
            needs = "there is no answer"
            if self._stops:
                first = tuple(self._stops[0][1][:2])
                needs = f"its first answer needs {first} tokens and images"
            raise DoesNotFit(
                f"record {self._record.id!r}: {needs}, but a row holds {room}; raise "
                "seq_len or max_images"
            )
        self._stops = fitting
        parts, stop = fitting[-1]
        for column in (self._ids, self._supervised, self._unknown, self._slot_of):
            del column[parts:]
        del self._images[stop.images :]
        self._length = stop.tokens + 1
        return True

    def prompt(self, closed: bool) -> Encoded:
        """All ids, to be continued."""
        if self._template.wrapped and closed:
            self._add_ids([self._tokenizer.eos_id], False)
        return self._encoded(self._length, False)

    def example(self, truncated: bool) -> Encoded:
        """The last id is a target only."""
        return self._encoded(self._length - 1, truncated)

    def _encoded(self, length, truncated):
        slots = np.array(self._slot_of, np.int32)
        count = self._tokens_per_image
        each = np.where(slots >= 0, count, 1)  # tokens of a part
        ids = np.repeat(np.array(self._ids, np.int32), each)
        learnt = np.array(self._supervised, bool) & ~np.array(self._unknown, bool)
        learnt = np.repeat(learnt, each)
        visual = np.repeat(slots, each)
        is_image = visual >= 0
        visual[is_image] *= count
        visual[is_image] += np.tile(
            np.arange(count, dtype=np.int32), np.count_nonzero(slots >= 0)
        )
        targets = np.append(ids[1:], np.int32(0))[:length]
        return Encoded(
            id=self._record.id,
            tokens=ids[:length],
            targets=targets,
            loss_mask=np.append(learnt[1:], False)[:length],
            visual_index=visual[:length],
            images=tuple(self._images),
            truncated=truncated,
            stops=tuple(stop for _, stop in self._stops),
        )
