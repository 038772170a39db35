"""Draws items of the four tests from a bank of annotated frames, or from captions."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, Record
from data_prep.devcv import items
from data_prep.devcv.items import Bank, Style, View, deck, object_crop, pick
from data_prep.v1bench import edits, records
from data_prep.v1bench.phrases import (
    BOTH,
    COLOUR,
    FIRST,
    PLACE,
    SECOND,
    Saying,
    Speaker,
)

NUM_FOILS = 3
TRIES = 20  # draws for one item, until one can be made
CAPTION_WORDS = (2, 25)  # ours, and the longest that V1 lets a model write
# What can be shown by changing one thing in a picture.
EDITABLE = ((COLOUR, FIRST), (COLOUR, SECOND), (COLOUR, BOTH), (PLACE, SECOND))
_MIRRORED = ("left", "right")


@dataclasses.dataclass(frozen=True)
class Form:
    """How pictures are stored: `side` is their longest, None for as they are."""

    side: int | None = None

    def encode(self, image: np.ndarray) -> bytes:
        return items.encode(items.shrink(image, self.side))


def labeled_s(
    bank: Bank, rng: np.random.Generator, number: int, form: Form
) -> Iterator[Record]:
    """Trials of a word and four crops, each word equally often.

    Target and foils are drawn with replacement, the foils' categories without.

    Source: BabyVLM V1 and CVCL, Labeled-S; ours: crops of annotated things.
    """
    nouns = bank.categories
    if len(nouns) <= NUM_FOILS:
        return
    style = Style(image_side=form.side)
    for index, noun in enumerate(deck(rng, nouns, number)):
        others = [n for n in nouns if n != noun]
        foils = [others[i] for i in rng.permutation(len(others))[:NUM_FOILS]]
        shown = [noun, *foils]
        views = [bank.draw(rng, one) for one in shown]
        images = [items.encode(object_crop(view, style)) for view in views]
        name = f"{records.LABELED_S}_{index:06d}"
        yield records.labeled_s(name, noun, images, shown, 0, origins(views))


def two_word(
    bank: Bank, rng: np.random.Generator, number: int, form: Form
) -> Iterator[Record]:
    """A picture, a phrase that is true of it and one that is not.

    All forms of phrases that the annotations allow occur equally often. A colour is
    said of a crop, a number or a place of a whole frame.

    Source: BabyVLM V1, Visual Two-Word Test; ours: phrases from annotations.
    """
    speaker = Speaker(bank)
    for index, (kind, swap) in enumerate(deck(rng, speaker.forms, number)):
        for _ in range(TRIES):
            saying = speaker.say(rng, kind, swap)
            if saying is None:
                continue
            if kind == COLOUR:
                image = object_crop(saying.view, Style())
            else:
                image = saying.frame.pixels()
            yield records.two_word(
                f"{records.TWO_WORD}_{index:06d}",
                form.encode(image),
                " ".join(saying.words),
                " ".join(saying.swapped),
                origins([saying.view]) | {"part": saying.part, "kind": kind},
            )
            break


def winoground(
    bank: Bank, rng: np.random.Generator, number: int, form: Form
) -> Iterator[Record]:
    """A scene and the same scene with one thing changed, and a phrase for each.

    A colour is changed by painting, a noun by putting another thing there, a side by
    mirroring the frame.

    Source: BabyVLM V1, Baby Winoground; ours: how the negatives are made.
    """
    speaker = Speaker(bank)
    offered = [one for one in speaker.forms if one in EDITABLE]
    for index, (kind, swap) in enumerate(deck(rng, offered, number)):
        for _ in range(TRIES):
            saying = speaker.say(rng, kind, swap)
            made = saying and _edited(saying, speaker, rng)
            if not made:
                continue
            before, after, views = made
            yield records.winoground(
                f"{records.WINOGROUND}_{index:06d}",
                [form.encode(before), form.encode(after)],
                [" ".join(saying.words), " ".join(saying.swapped)],
                origins(views) | {"part": saying.part, "kind": kind},
            )
            break


def _edited(saying: Saying, speaker: Speaker, rng):
    """(picture, changed picture, views they are made from), or None."""
    view = saying.view
    if saying.kind == PLACE:
        if saying.words[1] not in _MIRRORED:
            return None
        pixels = saying.frame.pixels()
        return pixels, pixels[:, ::-1], [view]
    if sum(t.category == view.thing.category for t in view.frame.things) > 1:
        return None  # another one might be of the other colour
    scene, box = edits.scene(saying.frame.pixels(), view.thing.bbox)
    if saying.swap == FIRST:
        painted = edits.recolour(scene, box, saying.words[0], saying.swapped[0])
        return None if painted is None else (scene, painted, [view])
    colour, noun = saying.swapped
    others = speaker.views(noun, colour)
    if not others:
        return None
    other = pick(rng, others)
    cut = items.crop(other.frame.pixels(), other.thing.bbox, 0.0)
    return scene, edits.replace(scene, box, cut), [view, other]


def origins(views: Sequence[View]) -> dict[str, Any]:
    """Where the pictures of an item are from."""
    return {
        "recordings": sorted({view.frame.recording for view in views}),
        "instances": sorted({view.thing.instance for view in views}),
    }


def captions(
    source: Sequence[Record], rng: np.random.Generator, number: int
) -> Iterator[Record]:
    """Pictures and what was said over them; no two items have the same words.

    Args:
        source: records of one picture and one utterance.
        rng: the order.
        number: how many at most.

    Source: BabyVLM V1, SAYCam Caption; ours: the lengths that are taken.
    """
    seen: set[str] = set()
    for index in rng.permutation(len(source)):
        record = source[int(index)]
        text = next((t for role, t in record.turns if role == ASSISTANT), "")
        words = text.split()
        if text in seen or not CAPTION_WORDS[0] <= len(words) <= CAPTION_WORDS[1]:
            continue
        if len(seen) == number:
            return
        seen.add(text)
        name = f"{records.CAPTION}_{len(seen) - 1:06d}"
        yield records.caption(name, record.images[0], text, _facts(record))


def _facts(record: Record) -> Mapping[str, Any]:
    recording = record.meta.get("recording")
    found = {"from": record.id}
    return found | ({"recordings": [recording]} if recording else {})
