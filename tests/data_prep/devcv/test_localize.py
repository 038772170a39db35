"""Localization: one thing in each quadrant, all of different kinds."""

import collections

import numpy as np

from data_prep.devcv.items import Frame
from data_prep.devcv.tasks.localize import localize, quadrant_shares, windows
from tests.data_prep.devcv.world import CORNERS, SIDE, thing

FOUR = ("cup", "hat", "key", "car")


def _frame(*things):
    return Frame("r", 0, SIDE, SIDE, tuple(things), "nowhere", 0)


def _quad(nouns=FOUR):
    return [
        thing(noun, (*corner, 16, 14), f"i{k}")
        for k, (noun, corner) in enumerate(zip(nouns, CORNERS, strict=True))
    ]


def test_shares_of_a_box_on_the_middle_line():
    # Window (10, 10)-(50, 50), middle lines at 30; the box lies 3/4 left of it.
    frame = _frame(thing("cup", (24, 12, 8, 8)))
    shares = quadrant_shares(frame, np.array([10]), np.array([10]), np.array([20]))
    assert shares.tolist() == [[[0.75, 0.25, 0.0, 0.0]]]


def test_windows_hold_the_four_things_in_order(rng):
    found = windows(_frame(*_quad()), rng)
    assert found
    for (left, top, right, bottom), things in found:
        assert [t.category for t in things] == list(FOUR)
        assert right - left == bottom - top
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        for k, t in enumerate(things):
            x, y = t.bbox[0] + t.bbox[2] / 2, t.bbox[1] + t.bbox[3] / 2
            assert (x > middle_x, y > middle_y) == (k % 2 == 1, k >= 2)


def test_no_window_with_two_of_a_kind_or_a_free_quadrant(rng):
    assert not windows(_frame(*_quad(("cup", "hat", "key", "cup"))), rng)
    assert not windows(_frame(*_quad()[:3], thing("car", (8, 22, 10, 10), "x")), rng)


def test_no_window_with_a_second_thing_in_a_quadrant(rng):
    fifth = thing("star", (24, 22, 8, 8), "x")  # beside the first, inside any window
    assert not windows(_frame(*_quad(), fifth), rng)


def test_items_are_balanced_over_quadrants(bank, rng, style):
    made = list(localize(bank, rng, 40, style))
    answers = collections.Counter(item.meta["answer"] for item in made)
    assert answers == dict.fromkeys("ABCD", 10)
    assert all(len(item.meta["bbox"]) == 4 for item in made)
    assert all(f"Point at the {i.meta['noun']}." in i.turns[0][1] for i in made)
