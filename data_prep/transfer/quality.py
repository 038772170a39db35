"""How good a matching is: beside chance, beside the optimum, beside no constraint."""

from typing import Any, Protocol

import numpy as np

from data_prep.transfer.assignment import (
    DENSE_PAIRS,
    Limits,
    Matching,
    distances_of,
    exact,
    sparse,
)

DRAWS = 10  # random one-to-one matchings
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class HasSettings(Protocol):
    """The part of `match.Settings` that the comparison needs."""

    limits: Limits
    subsample: int
    seed: int


def compare(
    targets: np.ndarray, candidates: np.ndarray, found: Matching, settings: HasSettings
) -> dict[str, Any]:
    """Figures of a matching; distances are means over the targets.

    Args:
        targets: f32[N, D] of unit norm.
        candidates: f32[M, D] of unit norm, M >= N.
        found: the matching.
        settings: limits of the sparse method, size of the subsample, seed.

    Returns:
        `distance`; `bound`, below which no one-to-one matching can be; `is_optimal`;
        `random`, of random ones; `quantiles` of the distances; `passes` of the sparse
        method; and `subsample`: some targets, and candidates in proportion (no more
        than can be matched exactly), drawn, with the distances of the optimum, of the
        sparse method and of random ones.
    """
    rng = np.random.default_rng([settings.seed, 1])
    distances = distances_of(targets, candidates[found.chosen])
    return {
        "distance": float(distances.mean()),
        "bound": found.bound / len(targets),
        "is_optimal": found.is_optimal,
        "random": random_distance(targets, candidates, rng),
        "quantiles": {
            str(q): float(v)
            for q, v in zip(QUANTILES, np.quantile(distances, QUANTILES), strict=True)
        },
        "passes": list(found.passes),
        "subsample": _subsample(targets, candidates, settings, rng),
    }


def random_distance(
    targets: np.ndarray, candidates: np.ndarray, rng: np.random.Generator
) -> float:
    """Mean distance of random one-to-one matchings."""
    draws = [
        rng.choice(len(candidates), len(targets), replace=False) for _ in range(DRAWS)
    ]
    means = [distances_of(targets, candidates[draw]).mean() for draw in draws]
    return float(np.mean(means))


def _subsample(targets, candidates, settings, rng) -> dict[str, float]:
    size = min(settings.subsample, len(targets))
    others = max(size, round(size * len(candidates) / len(targets)))
    others = min(others, max(size, DENSE_PAIRS // size))
    some = targets[rng.choice(len(targets), size, replace=False)]
    offered = candidates[rng.choice(len(candidates), others, replace=False)]
    best = exact(some, offered)
    ours = sparse(some, offered, settings.limits)
    return {
        "targets": size,
        "candidates": others,
        "optimum": best.bound / size,
        "sparse": float(distances_of(some, offered[ours.chosen]).mean()),
        "random": random_distance(some, offered, rng),
    }
