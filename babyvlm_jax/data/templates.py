"""Templates: the turns of a record as spans of text, supervised or not.

A span may hold `<image>` marks. What a template says about special ids is carried out
by `conversation`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

from babyvlm_jax.data.schema import HUMAN, IMAGE_MARK
from babyvlm_jax.runtime.errors import UserError

Turns = tuple[tuple[str, str], ...]


class Span(NamedTuple):
    """A stretch of text; an answer is supervised, and closed by <eos>."""

    text: str
    is_answer: bool


@dataclasses.dataclass(frozen=True)
class Template:
    """How turns become one token sequence.

    Attributes:
        spans: (turns, invite) -> spans; `invite` ends with the call for an answer.
        verbatim: blanks at the borders of turns and pictures reach the tokenizer.
            Byte-level tokenizers make tokens of them (`USER: <image>` has one for the
            blank before the picture), sentencepiece does not. Off, texts are the same
            whatever stands beside them.
        specials: <sos> in front, <eos> behind each answer.
        wrapped: each chunk between pictures is `<sos> ... <eos>`, less the <sos> of
            all but the first, and the first four ids are not supervised.
    """

    spans: Callable[[Turns, bool], Iterator[Span]]
    verbatim: bool = False
    specials: bool = True
    wrapped: bool = False


def _dialogue(turns: Turns, invite: bool) -> Iterator[Span]:
    for role, text in turns:
        if role == HUMAN:
            yield Span(f"USER: {text}", False)
        else:
            yield Span("ASSISTANT:", False)
            yield Span(text, True)
    if invite:
        yield Span("ASSISTANT:", False)


def _dialogue_verbatim(turns: Turns, invite: bool) -> Iterator[Span]:
    # one blank between turns, but none behind an <eos>, as in BabyVLM-V2's code
    blank, asked = " ", ""
    for role, text in turns:
        if IMAGE_MARK in text:  # the original strips these turns and no others
            text = text.strip()
        if role == HUMAN:
            asked, blank = f"{asked}{blank}USER: {text}", " "
        else:
            yield Span(f"{asked}{blank}ASSISTANT:", False)
            yield Span(f" {text}", True)
            asked, blank = "", ""
    if invite:
        asked = f"{asked}{blank}ASSISTANT:"
    if asked:
        yield Span(asked, False)


def _pictures_then_answers(turns: Turns, invite: bool) -> Iterator[Span]:
    del invite
    for role, text in turns:
        if role == HUMAN:
            yield Span(IMAGE_MARK * text.count(IMAGE_MARK), False)
        else:
            yield Span(text, True)


# The *_verbatim, *_bare and *_wrapped forms read checkpoints of the originals.
TEMPLATES: dict[str, Template] = {
    "baby_v1": Template(_dialogue),
    "baby_v1_verbatim": Template(_dialogue_verbatim, verbatim=True),
    "baby_plain": Template(_pictures_then_answers),
    "baby_plain_verbatim": Template(_pictures_then_answers, verbatim=True),
    # BabyVLM V1: the recommended clean form, then the two readings of the original's
    # code: no special ids at all, or a tokenizer that wraps every chunk and so hides
    # the first word from the loss
    "plain": Template(_pictures_then_answers),
    "plain_bare": Template(_pictures_then_answers, specials=False),
    "plain_wrapped": Template(_pictures_then_answers, wrapped=True),
}


def check_template(name: str) -> None:
    """Raises UserError if there is no template `name`."""
    if name not in TEMPLATES:
        raise UserError(f"no template {name!r}; expected one of {sorted(TEMPLATES)}")
