"""The benchmark of the matching runs, and its two methods agree."""

import argparse

import numpy as np
import pytest

from tests.benchmarks import matching


def test_the_world_has_scenes_and_directions():
    targets, candidates = matching.world(300, 500, 64)
    assert (targets.shape, candidates.shape) == ((300, 64), (500, 64))
    np.testing.assert_allclose(np.linalg.norm(targets, axis=1), 1, atol=1e-5)
    alike = targets @ targets.T - np.eye(300)
    # what all share, and what those of a scene share beside it
    assert np.median(alike) == pytest.approx(matching.SHARES[0], abs=0.1)
    assert alike.max() > sum(matching.SHARES[:2]) - 0.1


def test_both_methods_find_the_same():
    lines = matching.table(
        argparse.Namespace(
            targets=60,
            candidates=100,
            width=16,
            k=4,
            widest=100,
            passes=20,
            subsample=20,
            exact=True,
        )
    )
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| ")][1:]
    means = {row[0].strip(): float(row[3]) for row in rows}
    assert list(means) == ["sparse, k = 4", "exact"]
    assert means["exact"] == pytest.approx(means["sparse, k = 4"], abs=2e-4)
