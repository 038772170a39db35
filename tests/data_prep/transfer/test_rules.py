"""The offline rewriter: what a caption is about, and whether a child would know it."""

import pytest

from data_prep.transfer import rules
from data_prep.transfer.prompts import LONGEST, Answer

EVERYDAY = {"car", "dog", "dogs", "ball", "balls", "water", "bed", "building", "cat"}


def _about(caption):
    """(words before the head, head, what it does) or None."""
    thing = rules._thing(caption, EVERYDAY)
    return thing and (" ".join(thing.before), thing.head, thing.doing)


@pytest.mark.parametrize(
    ("caption", "about"),
    [
        # the example of V1's figure
        ("a silver 2018 ford focus vehicle parked in a lot", ("silver", "car", None)),
        ("A small brown DOG running in the park", ("small brown", "dog", "running")),
        ("two dogs on a bed", ("two", "dogs", None)),
        ("the red ball, a blue ball", ("red", "ball", None)),
        ("a big building with a door", ("big", "building", None)),
        ("red bed", ("red", "bed", None)),
        ("glass of water", None),  # about a glass, which nobody names here
        ("a cat is sleeping", ("", "cat", None)),
        ("car insurance calculator", None),
        ("the logo for the company", None),
        ("on the beach", None),
        ("", None),
        ("12345 !!", None),
        ("- (ball) -", ("", "ball", None)),
        ("there is a close up of a red ball", ("red", "ball", None)),
        ("A black and white photo of a dog", None),  # "a black", and so it stays out
        ("an old photo of two dogs", ("two", "dogs", None)),
        ("it's a group of balls on a bed", ("", "balls", None)),
        ("this is a picture", None),
    ],
)
def test_what_a_caption_is_about(caption, about):
    assert _about(caption) == about


def test_utterances_are_short_name_the_thing_and_never_change():
    captions = [f"a small red ball number {i}" for i in range(50)]
    captions = ["a small red ball" + " ," * i for i in range(200)]
    said = [rules.rewrite(caption, EVERYDAY) for caption in captions]
    assert all(one.keep and "small red ball" in one.utterance for one in said)
    assert all(len(one.utterance.split()) <= LONGEST for one in said)
    assert {one.utterance for one in said} == {
        phrase.format(it="small red ball", a_it="a small red ball")
        for phrase in rules.ONE
    }
    assert said == [rules.rewrite(caption, EVERYDAY) for caption in captions]


@pytest.mark.parametrize(
    ("caption", "phrases", "forms"),
    [
        ("two dogs on a bed", rules.MANY, {"it": "two dogs"}),
        ("cold water in a lake", rules.STUFF, {"it": "cold water"}),
        (
            "dogs playing",
            rules.ACTION,
            {"it": "dogs", "is_are": "are", "doing": "playing"},
        ),
        ("an old car", rules.ONE, {"it": "old car", "a_it": "an old car"}),
    ],
)
def test_number_and_kind_choose_the_phrase(caption, phrases, forms):
    answer = rules.rewrite(caption, EVERYDAY)
    assert answer.utterance in {phrase.format(**forms) for phrase in phrases}


def test_what_no_child_hears_is_dropped():
    assert rules.rewrite("stock market chart", EVERYDAY) == Answer(False, "")


def test_everyday_words_are_those_said_often_that_name_things():
    said = ["look at the red ball"] * 3 + ["a ball , a zebra", "It's a Dog"] * 2
    said += ["dog"]
    assert rules.everyday_words(said) == {"ball", "dog"}
    assert rules.everyday_words(said, min_count=2) == {"ball", "dog", "zebra"}
