"""Left/Right: the same picture among its flips."""

import collections
from dataclasses import replace

import numpy as np

from data_prep.devcv.items import Frame, View
from data_prep.devcv.tasks.leftright import (
    flip_names,
    is_lopsided,
    leftright,
    leftright_things,
)
from tests.data_prep.devcv.world import SIDE, thing


def test_one_option_equals_the_query_and_the_others_differ(bank, rng, style):
    made = list(leftright(bank, rng, 30, style))
    answers = collections.Counter(item.meta["answer"] for item in made)
    assert answers == {"A": 10, "B": 10, "C": 10}
    for item in made:
        query, *options = item.images
        assert options["ABC".index(item.meta["answer"])] == query
        assert len(set(options)) == 3


def test_the_easier_form_shows_three_categories(bank, rng, style):
    made = list(leftright_things(bank, rng, 30, style))
    answers = collections.Counter(item.meta["answer"] for item in made)
    assert answers == {"A": 10, "B": 10, "C": 10}
    for item in made:
        query, *options = item.images
        assert options["ABC".index(item.meta["answer"])] == query
        # an instance is named split_noun_number in the little world
        nouns = {instance.split("_")[1] for _, instance in item.origins}
        assert len(nouns) == len(set(options)) == 3 and item.meta["noun"] in nouns


def test_original_has_two_identical_mirrors(bank, rng, style):
    original = replace(style, published=frozenset({"original_leftright"}))
    for item in leftright(bank, rng, 9, original):
        query, *options = item.images
        assert options.count(query) == 1 and len(set(options)) == 2


def test_whichever_flips_are_shown_each_is_the_query(rng):
    drawn = [flip_names(rng, original=False) for _ in range(1200)]
    shown = collections.Counter(frozenset(names) for names in drawn)
    queries = collections.Counter((frozenset(names), names[0]) for names in drawn)
    assert len(shown) == 4 and len(queries) == 12
    # 100 of each are expected, give or take 10
    assert min(queries.values()) > 60 and all(len(flips) == 3 for flips in shown)
    assert flip_names(rng, original=True) == ("identity", "horizontal", "horizontal")


def test_a_symmetric_thing_is_no_query(tmp_path):
    pixels = np.full((SIDE, SIDE, 3), 190, np.uint8)
    pixels[10:30, 10:20] = 20  # left half dark: only the vertical flip keeps it
    pixels[40:60, 10:30] = 20
    pixels[40:50, 10:20] = 200
    (tmp_path / "p").write_bytes(pixels.tobytes())
    frame = Frame("r", 0, SIDE, SIDE, (), str(tmp_path / "p"), 0)
    assert not is_lopsided(View(frame, thing("cup", (10, 10, 20, 20))))
    assert is_lopsided(View(frame, thing("cup", (10, 40, 20, 20))))
