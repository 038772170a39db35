"""What an answer says: the official extraction with its faults, and a strict one.

Scores that are to be compared with published ones need the official rules, faults
included; what a model knows is better told by the strict ones. Every fault is named
in the docstring of the function that has it.
"""

import re
from collections.abc import Callable, Mapping

from babyvlm_jax.evals.tasks import CAPTION, DIRECTION, LETTER, NUMBER, RING

OFFICIAL = "official"
STRICT = "strict"
PARSERS = (STRICT, OFFICIAL)
Reader = Callable[[str], str | None]

_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)
# "a" before a word is the article, unless the word goes on about the answer
_ARTICLE = re.compile(
    r"\ba (?!(?:is|was|has|and|or|because|since|as)\b)(?=[a-z])", re.I
)
_NUMBER_TOKEN = re.compile(r"[0-9]+|[a-z]+")
_NUMERAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?|[a-z]+")
# The official list ends at ten: "eleven" and "twelve" are not understood.
_TO_TEN = (
    *("zero", "one", "two", "three", "four", "five"),
    *("six", "seven", "eight", "nine", "ten"),
)
_TO_TWENTY = (
    *_TO_TEN,
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen"),
    *("sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_SIDES = re.compile(
    r"\b(?:(top|bottom)(?:[ -](left|right))?|(left|right))\b", re.IGNORECASE
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


def letter(text: str) -> str | None:
    """First stand-alone A-D of either case that is not the article "a".

    "it is a dog, so B" is B, "a" and "A because it is new" are A, "a dog" is nothing.
    """
    return letter_article_counts(_ARTICLE.sub("", text))


def number(text: str) -> str | None:
    """First whole number, in digits or as a word zero to twenty, written in digits.

    A number that is not whole, or below zero, is an answer and no count: nothing.
    """
    for token in _NUMERAL.findall(text.lower()):
        if token in _TO_TWENTY:
            return str(_TO_TWENTY.index(token))
        if not token.isalpha():
            return str(int(token)) if token.isdigit() else None
    return None


def direction(text: str) -> str | None:
    """The one of the eight directions that the text names.

    "Left.", "through the top-left corner" are read; "left or right" is two, so none.
    """
    named = {
        " ".join(part.lower() for part in found if part)
        for found in _SIDES.findall(text)
    }
    return named.pop() if len(named) == 1 else None


def caption(text: str) -> str | None:
    """The whole text in lower case; nothing where there is none."""
    return text.strip().lower() or None


READERS: Mapping[str, Mapping[str, Reader]] = {
    OFFICIAL: {
        LETTER: letter_article_counts,
        NUMBER: number_words_to_ten,
        DIRECTION: direction_unstripped,
        CAPTION: caption,
    },
    STRICT: {
        LETTER: letter,
        NUMBER: number,
        DIRECTION: direction,
        CAPTION: caption,
    },
}
