"""Pairs of a coloured picture and words, for tests of what looks at both."""

import numpy as np

from babyvlm_jax.data.images import encode_jpeg
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from tests.data_prep.embedder import COLOURS


def picture(colours: dict[str, float], side: int = 16) -> bytes:
    """A JPEG with stripes of some colours in the given shares."""
    rows = np.zeros((side, side, 3), np.uint8)
    first = 0
    for name, share in colours.items():
        last = first + round(share * side)
        rows[first:last] = COLOURS[name]
        first = last
    return encode_jpeg(rows, 95)


def pair(name: str, colours: dict[str, float], said: str) -> Record:
    """One picture, one utterance."""
    return Record(
        name,
        "image_utterance",
        (picture(colours),),
        ((HUMAN, "<image>"), (ASSISTANT, said)),
        {"age_days": 300},
    )


def captioned(name: str, colours: dict[str, float], caption: str) -> Record:
    """As LLaVA-Pretrain has them: the human asks for a description."""
    return Record(
        name,
        "instruction/general",
        (picture(colours),),
        ((HUMAN, "What is this?\n<image>"), (ASSISTANT, caption)),
    )
