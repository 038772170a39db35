"""The captions of a general-purpose corpus, by the number of their record."""

import collections
from typing import NamedTuple

from tqdm import tqdm

from babyvlm_jax.data.schema import ASSISTANT, IMAGE_MARK, Record, RecordSource

_AT_ONCE = 512  # records read together


class Caption(NamedTuple):
    """What a record says of its only picture."""

    number: int
    id: str
    text: str


def caption_of(record: Record) -> str | None:
    """The caption, blanks squeezed; None if the record is none of one picture."""
    said = [text for role, text in record.turns if role == ASSISTANT]
    if len(record.images) != 1 or len(said) != 1:
        return None
    return " ".join(said[0].replace(IMAGE_MARK, " ").split()) or None


def read_captions(
    source: RecordSource, limit: int | None
) -> tuple[list[Caption], dict[str, int]]:
    """Reads the captions of a corpus.

    Args:
        source: the corpus; a human's words (an instruction to describe) are ignored.
        limit: records to read; None for all.

    Returns:
        The captions, in order of their records, and how many records have none.
    """
    count = len(source) if limit is None else min(limit, len(source))
    found, without = [], collections.Counter()
    with tqdm(total=count, desc="reading", unit="record") as bar:
        for first in range(0, count, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, count))
            for number, record in zip(numbers, source.read(numbers), strict=True):
                text = caption_of(record)
                if text is None:
                    without["not_a_caption"] += 1
                else:
                    found.append(Caption(number, record.id, text))
            bar.update(len(numbers))
    return found, dict(without)
