"""Spatial Details: unlike instances of one category."""

import collections
from dataclasses import replace

import pytest

from data_prep.devcv.tasks.spatialdetails import (
    MIN_DIFFERENCE,
    difference,
    look_of,
    spatialdetails,
    triple,
    window_around,
)


def test_items_are_balanced_and_their_pictures_distinct(bank, rng, style):
    made = list(spatialdetails(bank, rng, 30, style))
    answers = collections.Counter(item.meta["answer"] for item in made)
    assert answers == {"A": 10, "B": 10, "C": 10}
    assert sum(item.meta["same_colour"] for item in made) >= 15
    assert all(len(set(item.images)) == 4 for item in made)


@pytest.mark.parametrize("want_colour", [True, False])
def test_triples_are_three_unlike_instances(bank, rng, want_colour):
    for _ in range(10):
        views = triple(bank, rng, "cup", want_colour)
        assert len({view.thing.instance for view in views}) == 3
        looks = [look_of(view) for view in views]
        assert difference(looks[0], looks[1]) >= MIN_DIFFERENCE
        if want_colour:
            assert {view.thing.colour for view in views} == {"red"}


def test_views_of_one_instance_look_alike(bank):
    a, b = bank.views["cup"]["test_cup_1"][:2]
    assert difference(look_of(a), look_of(b)) < MIN_DIFFERENCE


def test_a_window_shows_no_rival(bank, rng):
    row = next(f for f in bank.frames if f.recording == "test_row0")
    view = next(
        v
        for views in bank.views["ball"].values()
        for v in views
        if v.frame is row and v.thing.bbox[0] == 2
    )
    # The next ball begins at x = 22: the window, square and within the frame, ends
    # there, and the ball at 2..16 is in it.
    image = window_around(rng, view)
    assert image is None or image.shape[1] <= 23


def test_original_shows_whole_frames(bank, rng, style):
    original = replace(
        style, published=frozenset({"original_spatialdetails"}), image_side=None
    )
    for item in spatialdetails(bank, rng, 4, original):
        assert len(item.images) == 4
