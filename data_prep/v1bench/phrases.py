"""Two-word phrases that are true of a picture, and what a word may be swapped for.

What can be said follows from the annotations: colours where there are any, numbers and
places always. Words are one word each, so "teddy bear" is never said.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_prep.devcv.items import Bank, Frame, Thing, View, pick
from data_prep.nursery.vocabulary import NUMBERS, plural

FIRST, SECOND, BOTH = "first", "second", "both"
COLOUR, NUMBER, PLACE = "colour", "number", "place"
# (kind, which word is swapped) -> part of speech
PARTS = {
    (COLOUR, FIRST): "adjective",
    (COLOUR, SECOND): "noun",
    (COLOUR, BOTH): "adjective, noun",
    (NUMBER, FIRST): "number",
    (NUMBER, SECOND): "noun",
    (PLACE, FIRST): "noun",
    (PLACE, SECOND): "place",
}
WHOLE = 0.99  # a thing that is visible to this share is in the frame
SEEN = 0.2  # one that is visible to less is not
MAX_NUMBER = 4
MIN_SIDE = 0.18  # ours, of the frame's shorter side: of what a number or place is said
SIDE = 0.4  # a centre in this outer share of the frame is at that side


@dataclasses.dataclass(frozen=True)
class Saying:
    """A true phrase and a false one of the same form.

    Attributes:
        kind: colour, number or place.
        swap: which word differs.
        words: the two words of the true phrase.
        swapped: the two words of the false one.
        frame: the picture.
        thing: that is spoken of; of several, one of them.
    """

    kind: str
    swap: str
    words: tuple[str, str]
    swapped: tuple[str, str]
    frame: Frame
    thing: Thing

    @property
    def part(self) -> str:
        return PARTS[self.kind, self.swap]

    @property
    def view(self) -> View:
        return View(self.frame, self.thing)


class Speaker:
    """Finds sayings in a bank.

    Attributes:
        nouns: the categories of one word that have a clean view.
        colours: of those views.
        forms: the (kind, swap) that the bank offers.
    """

    def __init__(self, bank: Bank):
        self.nouns = tuple(c for c in bank.categories if " " not in c)
        self._views = {
            noun: [v for some in bank.views[noun].values() for v in some]
            for noun in self.nouns
        }
        self._coloured: dict[str, list[View]] = {}
        for noun, views in self._views.items():
            coloured = [v for v in views if v.thing.colour and _one(v.thing.colour)]
            self._coloured |= {noun: coloured} if coloured else {}
        every = [v for views in self._coloured.values() for v in views]
        self.colours = tuple(sorted({v.thing.colour for v in every}))
        self._counted = [
            (frame, noun)
            for frame in bank.frames
            for noun in sorted({t.category for t in frame.things} & set(self.nouns))
            if 1 <= count(frame, noun) <= MAX_NUMBER and is_clear(frame, noun)
        ]
        self._several = [(f, noun) for f, noun in self._counted if count(f, noun) > 1]
        self._placed = [
            (frame, noun)
            for frame, noun in self._counted
            if count(frame, noun) == 1 and places(frame, a_whole(frame, noun))
        ]
        there = {
            (COLOUR, FIRST): len(self.colours) > 1,
            (COLOUR, SECOND): self.colours,
            (COLOUR, BOTH): len(self.colours) > 1,
            (NUMBER, FIRST): self._several,
            (NUMBER, SECOND): self._counted,
            (PLACE, FIRST): self._placed,
            (PLACE, SECOND): self._placed,
        }
        enough = len(self.nouns) > 1
        self.forms = tuple(form for form in PARTS if there[form] and enough)

    def say(self, rng: np.random.Generator, kind: str, swap: str) -> Saying | None:
        """Draws a saying of a form of `forms`; None where this draw allows none."""
        make = {COLOUR: self._colour, NUMBER: self._number, PLACE: self._place}[kind]
        return make(rng, swap)

    def _colour(self, rng, swap) -> Saying | None:
        noun = pick(rng, tuple(self._coloured))
        view = pick(rng, self._coloured[noun])
        thing = view.thing
        # a thing may have a second colour, which its look may name
        colours = [c for c in self.colours if c not in thing.look]
        colours = [c for c in colours if c != thing.colour]
        if swap != SECOND and not colours:
            return None
        colour = thing.colour if swap == SECOND else pick(rng, colours)
        other = noun if swap == FIRST else self._other(rng, view.frame, noun)
        if other is None:
            return None
        words, swapped = (thing.colour, noun), (colour, other)
        return Saying(COLOUR, swap, words, swapped, view.frame, thing)

    def _number(self, rng, swap) -> Saying | None:
        frame, noun = pick(rng, self._several if swap == FIRST else self._counted)
        number = count(frame, noun)
        other, wrong = noun, number
        if swap == FIRST:  # "one balls" would be wrong in any picture
            wrong = pick(rng, [n for n in range(2, MAX_NUMBER + 1) if n != number])
        else:
            other = self._other(rng, frame, noun)
        if other is None:
            return None
        words = (NUMBERS[number], noun if number == 1 else plural(noun))
        swapped = (NUMBERS[wrong], other if number == 1 else plural(other))
        return Saying(NUMBER, swap, words, swapped, frame, a_whole(frame, noun))

    def _place(self, rng, swap) -> Saying | None:
        frame, noun = pick(rng, self._placed)
        thing = a_whole(frame, noun)
        place, opposite = places(frame, thing)[0]
        if swap == SECOND:
            swapped = (noun, opposite)
        else:
            swapped = (self._other(rng, frame, noun), place)
        if None in swapped:
            return None
        return Saying(PLACE, swap, (noun, place), swapped, frame, thing)

    def _other(self, rng, frame, noun) -> str | None:
        """A noun that the frame does not show, not even in part."""
        shown = {t.category for t in frame.things} | {noun}
        absent = [n for n in self.nouns if n not in shown]
        return pick(rng, absent) if absent else None

    def views(self, noun: str, colour: str | None = None) -> Sequence[View]:
        """Clean views of a noun, of one colour or any."""
        found = self._views[noun]
        return [v for v in found if colour in (None, v.thing.colour)]


def count(frame: Frame, noun: str) -> int:
    """How many of a noun are in a frame; 0 where one is cut off."""
    shares = [t.visible for t in frame.things if t.category == noun]
    if any(SEEN <= share < WHOLE for share in shares):
        return 0
    return sum(share >= WHOLE for share in shares)


def is_clear(frame: Frame, noun: str) -> bool:
    """Whether all things of a noun are large enough to be spoken of."""
    short = MIN_SIDE * min(frame.width, frame.height)
    return all(min(t.bbox[2:]) >= short for t in frame.things if t.category == noun)


def a_whole(frame: Frame, noun: str) -> Thing:
    """The first thing of a noun that is wholly in a frame."""
    return next(t for t in frame.things if t.category == noun and t.visible >= WHOLE)


def places(frame: Frame, thing: Thing) -> list[tuple[str, str]]:
    """(side, opposite side) of the sides that a thing stands at, the clearest first."""
    x = (thing.bbox[0] + thing.bbox[2] / 2) / frame.width
    y = (thing.bbox[1] + thing.bbox[3] / 2) / frame.height
    found = [
        (x, "left", "right"),
        (1 - x, "right", "left"),
        (y, "top", "bottom"),
        (1 - y, "bottom", "top"),
    ]
    return [(side, other) for share, side, other in sorted(found) if share <= SIDE]


def _one(word: str) -> bool:
    return " " not in word
