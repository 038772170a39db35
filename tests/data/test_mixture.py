"""Shares, and the walk of each dataset through its own permutations."""

import collections
import itertools

import numpy as np

from babyvlm_jax.data.mixture import Mixture, share

RECORDS = {"few": np.array([3, 5, 8]), "many": np.arange(17)}


def draws(mixture, epochs):
    """dataset number -> record numbers, in the order of the epochs."""
    out = collections.defaultdict(list)
    for epoch in range(epochs):
        for dataset, number in zip(*mixture.draws(epoch), strict=True):
            out[int(dataset)].append(int(number))
    return out


def test_shares_follow_the_weights():
    mixture = Mixture(RECORDS, {"few": 1, "many": 3}, seed=0)
    assert (mixture.size, mixture.num_records) == (20, 20)
    assert {k: len(v) for k, v in draws(mixture, 1).items()} == {0: 5, 1: 15}
    assert {k: len(v) for k, v in draws(mixture, 7).items()} == {0: 35, 1: 105}


def test_a_tiny_share_still_draws():
    mixture = Mixture(RECORDS, {"few": 1e-6, "many": 1}, seed=0)
    assert len(draws(mixture, 1)[0]) == 1


def test_one_dataset_comes_whole_in_every_epoch():
    mixture = Mixture({"many": RECORDS["many"]}, {"many": 0.1}, seed=0)
    epochs = [mixture.draws(epoch)[1].tolist() for epoch in range(3)]
    assert all(sorted(epoch) == list(range(17)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_walks_go_on_across_epochs():
    mixture = Mixture(RECORDS, {"few": 1, "many": 3}, seed=0)
    drawn = draws(mixture, 17)  # 85 draws of 3 records, 255 of 17
    assert sorted(collections.Counter(drawn[0]).values()) == [28, 28, 29]
    assert set(collections.Counter(drawn[1]).values()) == {15}


def test_the_seed_decides():
    weights = {"few": 1, "many": 3}
    first, same, other = (
        Mixture(RECORDS, weights, seed).draws(4)[1].tolist() for seed in (0, 0, 1)
    )
    assert first == same != other


def test_a_share_is_drawn_and_smaller_ones_are_part_of_larger_ones():
    records = np.array([2, 3, 5, 7, 11, 13, 17, 19])
    parts = [share(records, f, "many", seed=0) for f in (0.01, 0.25, 0.5, 0.75, 1.0)]
    assert list(map(len, parts)) == [1, 2, 4, 6, 8]
    assert all((np.diff(part) > 0).all() for part in parts)
    for smaller, larger in itertools.pairwise(parts):
        assert set(smaller) < set(larger)
    assert parts[-1] is records
    others = {
        tuple(share(records, 0.5, name, seed))
        for name, seed in (("many", 0), ("many", 1), ("few", 0))
    }
    assert len(others) == 3
