"""One-to-one matchings: optimal where it says so, bounded where it does not."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from data_prep.transfer import assignment
from data_prep.transfer.assignment import (
    Limits,
    Neighbours,
    distances_of,
    exact,
    sparse,
)


def _unit(rng, count, width=8, centres=None, spread=1.0):
    found = spread * rng.normal(size=(count, width))
    if centres is not None:
        found += centres[rng.integers(len(centres), size=count)]
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def _crowded(seed, targets=60, candidates=90):
    """Targets in few places, of which the candidates have hardly any."""
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(3, 8))
    return _unit(rng, targets, centres=centres, spread=0.2), _unit(rng, candidates)


def _total(targets, candidates, found):
    assert len(set(found.chosen.tolist())) == len(targets)
    assert found.chosen.min() >= 0
    assert found.chosen.max() < len(candidates)
    return distances_of(targets, candidates[found.chosen]).sum()


def _optimum(targets, candidates):
    cost = 1 - targets.astype(np.float64) @ candidates.astype(np.float64).T
    rows, columns = linear_sum_assignment(cost)
    return cost[rows, columns].sum()


@pytest.mark.usefixtures("eight_devices")
def test_neighbours_are_those_of_sorting_on_any_number_of_devices():
    assert len(jax.devices()) == 8
    rng = np.random.default_rng(0)
    targets, candidates = _unit(rng, 11), _unit(rng, 37)  # neither divides
    numbers, distances = Neighbours(candidates, block=4).nearest(targets, 30)
    all_distances = 1 - targets @ candidates.T
    order = np.argsort(all_distances, axis=1, kind="stable")[:, :30]
    np.testing.assert_array_equal(numbers, order)
    wanted = np.take_along_axis(all_distances, order, axis=1)
    np.testing.assert_allclose(distances, wanted, atol=1e-6)


def test_neighbours_among_those_that_are_allowed():
    rng = np.random.default_rng(1)
    targets, candidates = _unit(rng, 5), _unit(rng, 20)
    allowed = np.zeros(20, bool)
    allowed[[3, 7, 19]] = True
    numbers, _ = Neighbours(candidates).nearest(targets, 3, allowed)
    assert (np.sort(numbers, axis=1) == [3, 7, 19]).all()
    with pytest.raises(ValueError, match="4 candidates wanted, 3 are allowed"):
        Neighbours(candidates).nearest(targets, 4, allowed)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (20, 33)])
def test_exact_is_the_optimum(shape):
    rng = np.random.default_rng(2)
    targets, candidates = (_unit(rng, count) for count in shape)
    found = exact(targets, candidates)
    assert found.is_optimal
    total = _total(targets, candidates, found)
    assert total == pytest.approx(_optimum(targets, candidates), abs=1e-9)
    assert found.bound == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (20, 33)])
def test_sparse_with_full_lists_is_dense(shape):
    rng = np.random.default_rng(3)
    targets, candidates = (_unit(rng, count) for count in shape)
    found = sparse(targets, candidates, Limits(k=shape[1]))
    assert found.is_optimal
    np.testing.assert_array_equal(found.chosen, exact(targets, candidates).chosen)


@pytest.mark.parametrize("seed", range(3))
def test_short_lists_grow_until_the_optimum_is_certain(seed):
    targets, candidates = _crowded(seed)
    found = sparse(targets, candidates, Limits(k=2, widest=90, passes=50))
    optimum = _optimum(targets, candidates)
    assert found.is_optimal
    assert len(found.passes) > 2
    assert _total(targets, candidates, found) == pytest.approx(optimum, abs=1e-4)
    assert found.passes[0]["open"] > 0
    assert found.passes[-1]["open"] == 0
    assert optimum - 1e-3 <= found.bound <= optimum + 1e-6


@pytest.mark.parametrize(
    "limits",
    [Limits(k=2, passes=1), Limits(k=2, widest=4), Limits(k=2, max_edges=150)],
)
@pytest.mark.parametrize("dense_pairs", [0, 10**6])
def test_what_stays_open_is_filled_and_the_bound_holds(limits, dense_pairs):
    limits = dataclasses.replace(limits, dense_pairs=dense_pairs)
    targets, candidates = _crowded(4)
    found = sparse(targets, candidates, limits)
    optimum = _optimum(targets, candidates)
    assert not found.is_optimal
    assert found.bound <= optimum <= _total(targets, candidates, found)
    # and far from any matching that does not look
    rng = np.random.default_rng(5)
    chance = distances_of(targets, candidates[rng.permutation(len(candidates))[:60]])
    gap = _total(targets, candidates, found) - optimum
    assert gap < 0.2 * (chance.sum() - optimum)


def test_targets_that_are_all_the_same_get_different_candidates():
    """No full matching in the lists, all distances equal: rounds must still end."""
    rng = np.random.default_rng(6)
    targets = np.repeat(_unit(rng, 1), 40, axis=0)
    candidates = np.repeat(_unit(rng, 1), 41, axis=0)
    found = sparse(targets, candidates, Limits(k=3, widest=3, dense_pairs=0))
    _total(targets, candidates, found)


def test_more_targets_than_lists_can_serve_is_not_an_error_of_scipy(monkeypatch):
    targets, candidates = _crowded(7, targets=30, candidates=30)
    rows = np.repeat(np.arange(30), 2)
    numbers, _ = Neighbours(candidates).nearest(targets, 2)
    graph = assignment.csr_array((np.ones(60), (rows, numbers.ravel())), shape=(30, 30))
    with pytest.raises(ValueError, match="no full matching"):
        assignment.min_weight_full_bipartite_matching(graph)
    found = sparse(targets, candidates, Limits(k=2, passes=1))
    _total(targets, candidates, found)
