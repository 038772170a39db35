"""What an item of each of the four tests looks like as a record.

All but the captions are written as questions with lettered options, for people and for
reports; `pairs` in the meta says which picture each option pairs with which text, and
that is what is scored.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from babyvlm_jax.data.questions import add_rounds
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record

LABELED_S, TWO_WORD, WINOGROUND, CAPTION = "labeled_s", "vtwt", "winoground", "caption"
TASKS = (LABELED_S, TWO_WORD, WINOGROUND, CAPTION)
TITLES = {
    LABELED_S: "Labeled-S: which of four pictures is the word?",
    TWO_WORD: "Visual Two-Word Test: which of two phrases is the picture?",
    WINOGROUND: "Baby Winoground: two pictures and two phrases, which go together?",
    CAPTION: "SAYCam Caption: what is said over the picture?",
}
MAX_OPTIONS = 4
_LETTERS = "ABCD"
_NTH = ("first", "second", "third", "fourth")


def dataset_name(task: str) -> str:
    """Name of the dataset of a task: labeled_s -> v1_labeled_s."""
    return f"v1_{task}"


def labeled_s(
    name: str,
    word: str,
    images: Sequence[bytes],
    categories: Sequence[str],
    right: int,
    meta: Mapping[str, Any],
) -> Record:
    """One trial; the options stand in an order that follows from the id.

    Args:
        name: id of the record.
        word: that is heard.
        images: 2 to 4 pictures.
        categories: what each shows.
        right: number of the picture that is the word.
        meta: further facts.
    """
    order = list(range(len(images)))
    random.Random(f"v1/{name}").shuffle(order)
    marks = " ".join(f"({letter}) {IMAGE_MARK}" for letter in _LETTERS[: len(order)])
    item = Record(
        id=name,
        source=f"eval/{LABELED_S}",
        images=tuple(images[i] for i in order),
        turns=(
            (HUMAN, f"Which picture is '{word}'? {marks}"),
            (ASSISTANT, _LETTERS[order.index(right)]),
        ),
        meta={
            **meta,
            "task": LABELED_S,
            "word": word,
            "options": [categories[i] for i in order],
            "pairs": [[[k, word] for k in range(len(order))]],
        },
    )
    return add_rounds(item)


def two_word(
    name: str, image: bytes, positive: str, negative: str, meta: Mapping[str, Any]
) -> Record:
    """One picture with two phrases, in an order that follows from the id."""
    phrases = [positive, negative]
    random.Random(f"v1/{name}").shuffle(phrases)
    item = Record(
        id=name,
        source=f"eval/{TWO_WORD}",
        images=(image,),
        turns=(
            (HUMAN, _which_words(phrases)),
            (ASSISTANT, _LETTERS[phrases.index(positive)]),
        ),
        meta={
            **meta,
            "task": TWO_WORD,
            "positive": positive,
            "negative": negative,
            "difference": _listed(positive, negative, meta),
            "pairs": [[[0, phrase] for phrase in phrases]],
        },
    )
    return add_rounds(item)


def winoground(
    name: str,
    images: Sequence[bytes],
    phrases: Sequence[str],
    meta: Mapping[str, Any],
) -> Record:
    """Two pictures and two phrases, the positive of each first, as four questions.

    Which picture is phrase 0, which is phrase 1, which phrase is picture 0, which is
    picture 1: the order of `evals.scoring.winoground_metrics`.
    """
    both = f"(A) {IMAGE_MARK} (B) {IMAGE_MARK}"
    asked = [f"Which picture is '{phrase}'? {both}" for phrase in phrases]
    asked += [_which_words(phrases)] * 2
    turns = [
        turn
        for question, answer in zip(asked, "ABAB", strict=True)
        for turn in ((HUMAN, question), (ASSISTANT, answer))
    ]
    item = Record(
        id=name,
        source=f"eval/{WINOGROUND}",
        images=(*images, *images, *images),
        turns=tuple(turns),
        meta={
            **meta,
            "task": WINOGROUND,
            "positive": phrases[0],
            "negative": phrases[1],
            "difference": _listed(*phrases, meta),
            "labels": [list(phrases), list(phrases), [phrases[0]], [phrases[1]]],
            "pairs": [
                [[0, phrases[0]], [1, phrases[0]]],
                [[2, phrases[1]], [3, phrases[1]]],
                [[4, phrase] for phrase in phrases],
                [[5, phrase] for phrase in phrases],
            ],
        },
    )
    return add_rounds(item)


def caption(name: str, image: bytes, text: str, meta: Mapping[str, Any]) -> Record:
    """One picture and what was said over it."""
    item = Record(
        id=name,
        source=f"eval/{CAPTION}",
        images=(image,),
        turns=((HUMAN, IMAGE_MARK), (ASSISTANT, text)),
        meta={**meta, "task": CAPTION},
    )
    return add_rounds(item)


def difference(positive: str, negative: str) -> str:
    """Which words differ: `first`, `second`, ..., `both`, or `other`.

    difference("read book", "eat book") == "first"
    """
    ours, theirs = positive.lower().split(), negative.lower().split()
    if len(ours) != len(theirs):
        return "other"
    apart = [k for k, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    if len(apart) == 1 and apart[0] < len(_NTH):
        return _NTH[apart[0]]
    return "both" if len(apart) == 2 == len(ours) else "other"


def _listed(positive, negative, meta) -> str:
    """The line of the breakdown: "first", with the part of speech if it is known."""
    place = difference(positive, negative)
    return f"{place} ({meta['part']})" if "part" in meta else place


def _which_words(phrases) -> str:
    offered = " ".join(f"({k}) {p}" for k, p in zip(_LETTERS, phrases, strict=False))
    return f"{IMAGE_MARK} Which words fit? {offered}"
