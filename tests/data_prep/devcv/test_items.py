"""Balance and assembly."""

import collections

import numpy as np

from data_prep.devcv import items


def test_a_deck_is_balanced_and_shuffled():
    rng = np.random.default_rng(0)
    drawn = items.deck(rng, "ABC", 10)
    assert sorted(collections.Counter(drawn).values()) == [3, 3, 4]
    assert items.deck(rng, "ABC", 30) != sorted(items.deck(rng, "ABC", 30))


def test_a_deck_shorter_than_its_options_has_no_repeats():
    assert len(set(items.deck(np.random.default_rng(0), range(10), 4))) == 4


def test_placed_puts_the_right_one_where_told():
    rng = np.random.default_rng(0)
    options = items.placed(rng, "right", ["x", "y"], 1)
    assert options[1] == "right" and sorted(options) == ["right", "x", "y"]


def test_one_round_notes_answer_and_origins(bank, rng):
    view = bank.draw(rng, "cup")
    item = items.one_round("ask <image>", "B", [b"jpeg"], [view, view], noun="cup")
    assert item.turns == (("human", "ask <image>"), ("assistant", "B"))
    assert item.meta == {"answer": "B", "noun": "cup"}
    assert item.origins == {(view.frame.recording, view.thing.instance)}
