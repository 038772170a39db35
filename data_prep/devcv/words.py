"""Picture Vocabulary (four pictures, one word) and Looking While Listening (two)."""

from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items, prompts
from data_prep.devcv.items import Bank, Item, Style


def picture_vocabulary(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Which of four pictures is the word's? Words take turns; the others are uniform.

    Source: BabyVLM-V2, Picture Vocabulary; ours: without a vocabulary
    distractors are uniform over the other categories, as a procedural world has no
    measured confusions.
    """
    yield from _touch(bank, rng, number, style, num_options=4)


def picture_vocabulary_three(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """The same question over three pictures, to train on.

    Ours: with four pictures alone a small model learns where the pictures stand before
    the answer, not which letter is whose, and two pictures confuse it.
    """
    yield from _touch(bank, rng, number, style, num_options=3)


def lwl(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Which of two pictures is the word's? The held-out sibling of the above.

    Its wording is not published; ours is that of Picture Vocabulary.
    """
    yield from _touch(bank, rng, number, style, num_options=2)


def _touch(bank, rng, number, style, num_options) -> Iterator[Item]:
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
            prompts.touch(word, num_options, prompts.wording(rng, style.prompts)),
            prompts.LETTERS[position],
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
