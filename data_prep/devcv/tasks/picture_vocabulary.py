"""Picture Vocabulary: which of four images is the word's?"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from data_prep.devcv import items
from data_prep.devcv.tasks import Task

_ORDINALS = ("first", "second", "third", "fourth")


def question(word: str, num_options: int, wording: str) -> str:
    """The human turn, word for word as released for four options."""
    options = zip(items.LETTERS, _ORDINALS[:num_options], strict=False)
    if wording == "saycam":
        shown = " ".join(f"({letter}) the {nth} image" for letter, nth in options)
        return "<image>" * num_options + f"\nTouch the image of '{word}' {shown}"
    shown = " ".join(f"({letter})<image>" for letter, _ in options)
    return f"Touch the image of '{word}' {shown}"


def touch(
    bank: items.Bank,
    rng: np.random.Generator,
    number: int,
    style: items.Style,
    num_options: int,
) -> Iterator[items.Item]:
    """Which image is the word's? Words take turns.

    Source: BabyVLM-V2, Picture Vocabulary; ours: without a vocabulary the distractors
    are uniform over the other categories, as a procedural world has no measured
    confusions.
    """
    vocabulary = style.vocabulary
    nouns = [c for c in bank.categories if vocabulary is None or vocabulary.has(c)]
    if len(nouns) < num_options:
        return
    words = items.deck(rng, nouns, number)
    positions = items.deck(rng, range(num_options), number)
    for word, position in zip(words, positions, strict=True):
        others = [noun for noun in nouns if noun != word]
        wrong = _wrong(rng, word, others, num_options - 1, vocabulary)
        labels = items.placed(rng, word, wrong, position)
        views = [bank.draw(rng, label) for label in labels]
        images = [items.encode(items.object_crop(view, style)) for view in views]
        if len(set(images)) < num_options:
            continue
        yield items.one_round(
            question(word, num_options, items.wording(rng, style.prompts)),
            items.LETTERS[position],
            images,
            views,
            word=word,
            options=labels,
        )


def _wrong(rng, word, others, number, vocabulary) -> list[str]:
    """Words to stand beside one: uniform, or similar where a vocabulary says how."""
    if vocabulary is not None:
        return vocabulary.beside(rng, word, others, number)
    return [others[i] for i in rng.permutation(len(others))[:number]]


def _remark(style: Mapping[str, Any]) -> str:
    vocabulary = style.get("vocabulary")
    if vocabulary is None:
        return ""
    return (
        f"Picture Vocabulary asks for nouns of a list of {vocabulary['words']:,} words;"
        " those beside them are drawn by similarity of meaning and sound."
    )


TASKS = (
    Task(
        name="picture_vocabulary",
        title="Picture Vocabulary",
        make=functools.partial(touch, num_options=4),
        example=functools.partial(question, "ball", 4),
        # BabyVLM-V2, SAYCam
        sizes={"demo": (4000, 40, 200), "full": (22426, 742, 1132)},
        build_rank=5,
        released_names=("pv", "picture_vocab"),
        remark=_remark,
        word_field="word",
    ),
    # Ours: with four images alone a small model learns where the images stand before
    # the answer, not which letter is whose, and two images confuse it.
    Task(
        name="picture_vocabulary_three",
        title="Picture Vocabulary, three pictures (training only)",
        make=functools.partial(touch, num_options=3),
        example=functools.partial(question, "ball", 3),
        sizes={"demo": (2000, 0, 0), "full": (0, 0, 0)},
        easier_form_of="picture_vocabulary",
        build_rank=5,
        word_field="word",
    ),
)
