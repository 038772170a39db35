import numpy as np
import pytest

from data_prep.devcv.items import Bank
from data_prep.v1bench import phrases
from data_prep.v1bench.phrases import BOTH, COLOUR, FIRST, NUMBER, PLACE, SECOND
from tests.data_prep.v1bench.world import NAMES, NOUNS, SIDE


def sayings(bank, kind, swap, number=60):
    speaker, rng = phrases.Speaker(bank), np.random.default_rng(3)
    drawn = [speaker.say(rng, kind, swap) for _ in range(number)]
    found = [one for one in drawn if one is not None]
    assert len(found) > number / 2
    return found


def test_a_bank_with_colours_offers_every_form(bank):
    assert phrases.Speaker(bank).forms == tuple(phrases.PARTS)


@pytest.mark.parametrize("form", list(phrases.PARTS))
def test_phrases_are_true_and_differ_where_they_should(bank, form):
    for one in sayings(bank, *form):
        apart = [a != b for a, b in zip(one.words, one.swapped, strict=True)]
        assert apart == {FIRST: [1, 0], SECOND: [0, 1], BOTH: [1, 1]}[one.swap]
        assert one.thing in one.frame.things
        assert all(" " not in word for word in (*one.words, *one.swapped))


def test_colours(bank):
    for one in sayings(bank, COLOUR, BOTH):
        assert one.words == (one.thing.colour, one.thing.category)
        assert one.swapped[0] in NAMES and one.swapped[1] in NOUNS
        assert one.swapped[0] not in one.thing.look


def test_numbers(bank):
    for one in sayings(bank, NUMBER, FIRST):
        said = {"two": 2, "three": 3}[one.words[0]]
        assert len(one.frame.things) == said
        assert one.swapped[0] in ("two", "three", "four")
        assert one.words[1].endswith("s")
    nouns = {one.words for one in sayings(bank, NUMBER, SECOND)}
    assert ("one", "ball") in nouns and ("two", "balls") in nouns


def test_places(bank):
    for one in sayings(bank, PLACE, SECOND):
        x = one.thing.bbox[0] + one.thing.bbox[2] / 2
        if one.words[1] in ("left", "right"):
            assert one.words[1] == ("left" if x < SIDE / 2 else "right")
            assert {one.words[1], one.swapped[1]} == {"left", "right"}


def test_what_is_cut_off_is_not_counted(bank):
    frame = next(f for f in bank.frames if len(f.things) == 3)
    noun = frame.things[0].category
    assert phrases.count(frame, noun) == 3
    object.__setattr__(frame.things[2], "visible", 0.5)
    assert phrases.count(frame, noun) == 0
    object.__setattr__(frame.things[2], "visible", 0.1)
    assert phrases.count(frame, noun) == 2
    object.__setattr__(frame.things[2], "visible", 1.0)


def test_without_colours_there_are_numbers_and_places(bank):
    frames = [
        phrases.dataclasses.replace(
            frame,
            things=tuple(
                phrases.dataclasses.replace(t, colour=None) for t in frame.things
            ),
        )
        for frame in bank.frames
    ]
    forms = phrases.Speaker(Bank(frames)).forms
    assert {kind for kind, _ in forms} == {NUMBER, PLACE}
