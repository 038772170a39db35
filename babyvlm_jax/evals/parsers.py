"""What an answer says by the official extraction, with its faults.

Scores that are to be compared with published ones need the official rules, faults
included; what a model knows is better told by the strict ones, which are
`Question.read`. Every fault is named in the docstring of the function that has it.
"""

import re
from collections.abc import Callable, Mapping

from babyvlm_jax.data.questions import (
    DIRECTION,
    LETTER,
    NUMBER,
    RING,
    read_text,
)
from babyvlm_jax.evals.tasks import CAPTION

OFFICIAL = "official"
STRICT = "strict"
PARSERS = (STRICT, OFFICIAL)
Reader = Callable[[str], str | None]

_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)
_NUMBER_TOKEN = re.compile(r"\d+|[a-z]+")
# The official list ends at ten: "eleven" and "twelve" are not understood.
_TO_TEN = (
    *("zero", "one", "two", "three", "four", "five"),
    *("six", "seven", "eight", "nine", "ten"),
)


def letter_article_counts(text: str) -> str | None:
    """First stand-alone A-D of either case, upper-cased.

    Fault kept: the article "a" counts, so "it is a dog, so B" is read as A.

    Source: BabyVLM-V2, DevCV scorer.
    """
    found = _LETTER.search(text)
    return found.group(1).upper() if found else None


def number_words_to_ten(text: str) -> str | None:
    """First run of digits or number word zero to ten, written in digits.

    Fault kept: "eleven" and "twelve" are not understood, "twenty1" is 1.

    Source: BabyVLM-V2, DevCV scorer.
    """
    for token in _NUMBER_TOKEN.findall(text.lower()):
        if token.isdigit():
            return str(int(token))
        if token in _TO_TEN:
            return str(_TO_TEN.index(token))
    return None


def direction_unstripped(text: str) -> str | None:
    """The whole output lower-cased, if it is one of the eight directions.

    Fault kept: nothing is stripped or searched, so "left." and " left" are wrong.

    Source: BabyVLM-V2, DevCV scorer.
    """
    lowered = text.lower()
    return lowered if lowered in RING else None


OFFICIAL_READERS: Mapping[str, Reader] = {
    LETTER: letter_article_counts,
    NUMBER: number_words_to_ten,
    DIRECTION: direction_unstripped,
    CAPTION: read_text,
}
