"""Captions -> utterances by rules: the rewriter that needs no network and no money.

A caption begins with what it is about: "a silver 2018 ford focus vehicle parked in a
lot". The rules take that first group of words up to where it ends (a preposition, a
verb, a comma), keep the pair if the last word of the group is one that the caregiver of
the target corpus uses too, and put it, with its colours, sizes and number, into one of
the things that caregivers say. English only, and rough: a language model does better.
"""

import collections
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from data_prep.transfer.answers import Answer
from data_prep.transfer.words import (
    ADJECTIVES,
    ARTICLES,
    BREAKS,
    IRREGULAR,
    MASS,
    NO_THINGS,
    NUMBERS,
    SYNONYMS,
)

VERSION = 1  # of the rules: another one makes other utterances
MIN_COUNT = 3  # V1's own limit for a word to be in the vocabulary
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
# "a photo of", "there is", "a group of": what it is about comes after
_LEAD = re.compile(
    r"^\W*(?:(?:there|this|these|that|it|here)(?: is| are|'s) "
    r"|(?:look at|see) "
    r"|(?:an? |the )?(?:\w+ )?(?:photo|photograph|picture|image|drawing|illustration|"
    r"painting|view|pair|group|bunch|couple|pile|piece|set|close[ -]?up) of )"
)
_CLAUSE = re.compile(r"[,.;:|!?()\[\]/\"]| - ")

ONE = (
    "look at the {it}!", "that's {a_it}.", "do you see the {it}?", "what a nice {it}!",
    "here is the {it}.", "oh, {a_it}!", "is that {a_it}?", "it's {a_it}.",
)  # fmt: skip
MANY = (
    "look at the {it}!", "do you see the {it}?", "here are the {it}.", "oh, {it}!",
    "those are {it}.", "are those {it}?",
)  # fmt: skip
STUFF = ("look at the {it}!", "do you see the {it}?", "here is the {it}.", "oh, {it}!")
ACTION = (
    "look, the {it} {is_are} {doing}!", "the {it} {is_are} {doing}.",
    "do you see the {it} {doing}?", "see, {doing}, the {it} {is_are} {doing}!",
)  # fmt: skip


class _Thing(NamedTuple):
    """What a caption is about: head noun, words before it, what it does."""

    head: str
    before: tuple[str, ...]
    doing: str | None


def everyday_words(utterances: Iterable[str], min_count: int = MIN_COUNT) -> set[str]:
    """Words of a corpus that may name a thing.

    Args:
        utterances: what is said in the target corpus.
        min_count: rarer words do not count.
    """
    counts = collections.Counter(
        word for text in utterances for word in _WORD.findall(text.lower())
    )
    common = {word for word, count in counts.items() if count >= min_count}
    return common - NO_THINGS - BREAKS - ARTICLES - ADJECTIVES - NUMBERS


def rewrite(caption: str, everyday: set[str]) -> Answer:
    """One caption -> whether it is kept, and what is said.

    rewrite("a silver 2018 ford focus vehicle parked in a lot", {"car"}) may give
    Answer(keep=True, utterance="look at the silver car!"); the caption alone decides
    which phrase it is.
    """
    thing = _thing(caption, everyday)
    if thing is None:
        return Answer(False, "")
    it = " ".join((*thing.before, thing.head))
    many = _is_plural(thing.head, everyday)
    words = {
        "it": it,
        "a_it": f"{'an' if it[0] in 'aeiou' else 'a'} {it}",
        "is_are": "are" if many else "is",
        "doing": thing.doing,
    }
    if thing.doing:
        phrases = ACTION
    elif many:
        phrases = MANY
    else:
        phrases = STUFF if thing.head in MASS else ONE
    draw = hashlib.sha256(caption.encode("utf-8", "surrogatepass")).digest()
    return Answer(True, phrases[draw[0] % len(phrases)].format(**words))


def _thing(caption: str, everyday: set[str]) -> _Thing | None:
    text, last = caption.lower(), None
    while text != last:
        text, last = _LEAD.sub("", text), text
    clauses = map(_WORD.findall, _CLAUSE.split(text))
    group, rest = _first_group(next(filter(None, clauses), []), everyday)
    if not group or group[-1] not in everyday:
        return None
    head = group[-1]
    before = tuple(w for w in group[:-1] if w in ADJECTIVES)[:2]
    if group[0] in NUMBERS and _is_plural(head, everyday):
        before = (group[0], *before)
    doing = rest[0] if rest and rest[0].endswith("ing") else None
    return _Thing(head, before, doing)


def _first_group(words: list[str], everyday: set[str]) -> tuple[list[str], list[str]]:
    """Cuts the words behind the first thing; everyday names stand for rarer ones."""
    group: list[str] = []
    for place, word in enumerate(words):
        if word in ARTICLES and not group:
            continue
        word = SYNONYMS.get(word, word)
        named = bool(group) and group[-1] in everyday
        # "dog running", "car parked"; but not "red", and not "big building"
        verb = named and len(word) > 4 and word.endswith(("ing", "ed"))
        if word in BREAKS or word in ARTICLES or verb:
            return group, words[place:]
        group.append(word)
    return group, []


def _is_plural(word: str, everyday: set[str]) -> bool:
    if word in IRREGULAR:
        return True
    stem = word[:-2] if word.endswith(("shes", "ches", "xes")) else word[:-1]
    ends = word.endswith("s") and not word.endswith(("ss", "us"))
    return ends and (stem in everyday or len(stem) > 3)
