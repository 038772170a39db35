"""A record as one token sequence: templates, visual positions, targets, loss mask.

The two templates are those of BabyVLM-V2 (spec §2.3). Packing several sequences into
a row is `rows`' business.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.errors import UserError

Turns = tuple[tuple[str, str], ...]


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
    """

    id: str
    tokens: np.ndarray
    targets: np.ndarray
    loss_mask: np.ndarray
    visual_index: np.ndarray
    images: tuple[bytes, ...]


def _baby_v1(turns: Turns) -> Iterator[tuple[str, bool]]:
    for role, text in turns:
        if role == HUMAN:
            yield f"USER: {text}", False
        else:
            yield "ASSISTANT:", False
            yield text, True


def _baby_plain(turns: Turns) -> Iterator[tuple[str, bool]]:
    for role, text in turns:
        if role == HUMAN:
            yield IMAGE_MARK * text.count(IMAGE_MARK), False
        else:
            yield text, True


# name -> (turns to (text, is it supervised), the words that invite an answer)
TEMPLATES: dict[str, tuple[Callable[[Turns], Iterator[tuple[str, bool]]], str]] = {
    "baby_v1": (_baby_v1, "ASSISTANT:"),
    "baby_plain": (_baby_plain, ""),
}


def check_template(name: str) -> None:
    """Raises UserError if there is no template `name`."""
    if name not in TEMPLATES:
        raise UserError(f"no template {name!r}; expected one of {sorted(TEMPLATES)}")


def encode(
    record: Record,
    tokenizer: Tokenizer,
    template: str,
    tokens_per_image: int,
    answer: bool = True,
    dedupe_images: bool = True,
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
        template: `baby_v1` ("USER: ... ASSISTANT: ...") or `baby_plain` (pictures,
            then the answer; a human's words are left out).
        tokens_per_image: visual positions that a picture takes.
        answer: False stops before the last answer: the prompt for generation.
        dedupe_images: pictures with the same bytes share their visual tokens.

    Returns:
        The arrays. Targets that are <unk> are masked.

    Raises:
        UserError: an unknown template, or a record without turns.

    Source: BabyVLM-V2 code, spec §2.2 and §2.3.
    """
    check_template(template)
    if not record.turns:
        raise UserError(
            f"record {record.id!r} (source {record.source!r}) has no turns, so there "
            "is nothing to say about it; use a dataset of conversations"
        )
    fill, invitation = TEMPLATES[template]
    turns = record.turns
    if not answer and turns[-1][0] == ASSISTANT:
        turns = turns[:-1]
    spans = list(fill(turns))
    if not answer:
        spans.append((invitation, False))
    ids, supervised, visual, images = _lay_out(
        spans, record.images, tokenizer, tokens_per_image, dedupe_images
    )
    ids = np.array(ids, np.int32)
    if answer:
        tokens, targets, loss_mask = ids[:-1], ids[1:], np.array(supervised[1:], bool)
    else:
        tokens, targets = ids, np.append(ids[1:], np.int32(0))
        loss_mask = np.array([*supervised[1:], False], bool)
    return Encoded(
        id=record.id,
        tokens=tokens,
        targets=targets,
        loss_mask=loss_mask & (targets != tokenizer.unk_id),
        visual_index=np.array(visual[: len(tokens)], np.int32),
        images=images,
    )


def _lay_out(spans, pictures, tokenizer, tokens_per_image, dedupe_images):
    ids, supervised, visual = [tokenizer.sos_id], [False], [-1]
    slots: dict[object, int] = {}  # picture (or its place) -> slot
    images: list[bytes] = []
    pictures = iter(enumerate(pictures))

    def add_text(piece_ids, is_answer):
        ids.extend(piece_ids)
        supervised.extend([is_answer] * len(piece_ids))
        visual.extend([-1] * len(piece_ids))

    def add_picture():
        place, picture = next(pictures)
        slot = slots.setdefault(picture if dedupe_images else place, len(images))
        if slot == len(images):
            images.append(picture)
        ids.extend([0] * tokens_per_image)
        supervised.extend([False] * tokens_per_image)
        visual.extend(range(slot * tokens_per_image, (slot + 1) * tokens_per_image))

    for text, is_answer in spans:
        for number, chunk in enumerate(text.split(IMAGE_MARK)):
            if number:
                add_picture()
            add_text(tokenizer.encode(chunk), is_answer)
        if is_answer:
            add_text([tokenizer.eos_id], True)
    return ids, supervised, visual, tuple(images)
