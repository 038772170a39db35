"""Instances of val and test never occur in train."""

import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.nursery.catalogue import SPLITS, DrawnWorld, Thing


def test_instance_id():
    thing = Thing("ice cream", "large", "red", ("blue", "stripe", "left"))
    assert thing.instance_id == "ice-cream_red_blue-stripe-left_large"
    sprite = Thing(
        "bird", "small", caption="a robin", picture="animals/birds/robin.png"
    )
    assert sprite.instance_id == "bird_animals-birds-robin_small"


def _pairs(world, split):
    rng = np.random.default_rng(1)
    things = [world.sample("cup", split, rng) for _ in range(600)]
    return {(thing.colour, thing.mark[0]) for thing in things}


def test_splits_share_no_instance():
    world = DrawnWorld(seed=0, num_categories=12)
    pairs = {split: _pairs(world, split) for split in SPLITS}
    assert {split: len(pairs[split]) for split in SPLITS} == {
        "train": 32,
        "val": 8,
        "test": 16,
    }
    assert len(set.union(*pairs.values())) == 56
    for found in pairs.values():
        assert {colour for colour, _ in found} == set(world.colours)


def test_seed_moves_the_splits():
    assert _pairs(DrawnWorld(0, 12), "test") != _pairs(DrawnWorld(1, 12), "test")


def test_number_of_categories():
    assert DrawnWorld(0, 4).categories == ("ball", "cup", "car", "star")
    for number in (3, 1000):
        with pytest.raises(UserError, match=f"--categories={number}"):
            DrawnWorld(0, number)
