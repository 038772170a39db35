"""One candidate for each target, no candidate twice, at the least total distance.

`exact` looks at every pair. `sparse` looks at lists of near candidates and still
knows how far it is from the optimum:

1. Each target has a list of its k nearest candidates, and beside them the choice to
   stay open, at the price of the last one on its list. Whatever is not on the list
   costs at least that much, so the cheapest choice for all (a full matching that always
   exists) costs no more than the optimum: a lower bound.
2. Targets that stay open get lists twice as long, and all is matched again. If none
   stays open, the matching is the optimum of all pairs.
3. Targets that are open when there have been enough passes, or edges, are matched among
   the candidates that are left, by the same means.

Axes: N targets, M candidates, D width, E edges.
"""

import dataclasses
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from data_prep.transfer.neighbours import Neighbours

OPEN = -1
K = 32
PASSES = 4
MAX_EDGES = 16_000_000  # ours: about a gigabyte while they are matched
DENSE_PAIRS = 50_000_000  # ours: 0.4 GB of distances
ROUNDING = 1e-6  # of a distance computed in f32; open must cost more than the last


@dataclasses.dataclass(frozen=True)
class Limits:
    """How hard to try.

    Attributes:
        k: candidates on a list at first.
        passes: matchings of all targets, at most.
        max_edges: entries of all lists together, at most.
        dense_pairs: fewer pairs than this are matched exactly at the end.
    """

    k: int = K
    passes: int = PASSES
    max_edges: int = MAX_EDGES
    dense_pairs: int = DENSE_PAIRS


@dataclasses.dataclass(frozen=True)
class Matching:
    """Which candidate each target has.

    Attributes:
        chosen: i64[N] numbers of candidates, all different.
        bound: no one-to-one matching has a lower total distance.
        is_optimal: whether this one is the least of all.
        passes: what each pass did: edges, open.
    """

    chosen: np.ndarray
    bound: float
    is_optimal: bool
    passes: tuple[dict[str, Any], ...] = ()


def distances_of(targets: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """f64[N] cosine distance of each target to the candidate of the same place."""
    same = np.einsum(
        "ND,ND->N", targets.astype(np.float64), candidates.astype(np.float64)
    )
    return 1 - same


def exact(targets: np.ndarray, candidates: np.ndarray) -> Matching:
    """The optimum over all pairs; memory for N x M distances, twice.

    Args:
        targets: f32[N, D] of unit norm.
        candidates: f32[M, D] of unit norm, M >= N.
    """
    cost = 1 - targets.astype(np.float64) @ candidates.astype(np.float64).T
    rows, chosen = linear_sum_assignment(cost)
    return Matching(chosen, float(cost[rows, chosen].sum()), True)


def sparse(
    targets: np.ndarray, candidates: np.ndarray, limits: Limits = Limits()
) -> Matching:
    """The optimum, or close to it, without all pairs; see the top of the file.

    Args:
        targets: f32[N, D] of unit norm.
        candidates: f32[M, D] of unit norm, M >= N.
        limits: how hard to try.
    """
    neighbours = Neighbours(candidates)
    lists = _Lists.near(neighbours, targets, min(limits.k, len(candidates)))
    passes = []
    while True:
        chosen, bound = _match(lists)
        left = np.flatnonzero(chosen == OPEN)
        passes.append({"edges": lists.num_edges, "open": len(left)})
        longer = lists.num_edges + lists.widths[left].sum()
        if not len(left) or len(passes) == limits.passes or longer > limits.max_edges:
            break
        lists = lists.lengthened(neighbours, targets, left)
    _fill(chosen, neighbours, targets, candidates, limits)
    return Matching(chosen, bound, not len(left), tuple(passes))


@dataclasses.dataclass(frozen=True)
class _Lists:
    """Candidates near to targets, as edges in order of their targets.

    Attributes:
        widths: i64[N] entries of each list.
        numbers: i32[E] candidates.
        distances: f32[E] of them, those of a list ascending.
        num_candidates: M; a list of all of them leaves nothing else to choose.
    """

    widths: np.ndarray
    numbers: np.ndarray
    distances: np.ndarray
    num_candidates: int

    @classmethod
    def near(cls, neighbours, targets, k, allowed=None) -> "_Lists":
        numbers, distances = neighbours.nearest(targets, k, allowed)
        whole = neighbours.size if allowed is None else int(allowed.sum())
        widths = np.full(len(targets), k)
        return cls(widths, numbers.ravel(), distances.ravel(), whole)

    @property
    def num_edges(self) -> int:
        return len(self.numbers)

    @property
    def rows(self) -> np.ndarray:
        """i64[E] the target of each edge."""
        return np.repeat(np.arange(len(self.widths)), self.widths)

    def lengthened(self, neighbours, targets, which: np.ndarray) -> "_Lists":
        """The lists of the targets `which`, twice as long or whole."""
        stays = np.ones(len(self.widths), bool)
        stays[which] = False
        keep = stays[self.rows]
        rows = [self.rows[keep]]
        numbers, distances = [self.numbers[keep]], [self.distances[keep]]
        widths = self.widths.copy()
        for width in np.unique(self.widths[which]):
            part = which[self.widths[which] == width]
            wider = min(2 * int(width), self.num_candidates)
            found = neighbours.nearest(targets[part], wider)
            rows.append(np.repeat(part, wider))
            numbers.append(found[0].ravel())
            distances.append(found[1].ravel())
            widths[part] = wider
        order = np.argsort(np.concatenate(rows), kind="stable")
        return _Lists(
            widths,
            np.concatenate(numbers)[order],
            np.concatenate(distances)[order],
            self.num_candidates,
        )


def _match(lists: _Lists) -> tuple[np.ndarray, float]:
    """Matches targets to what is on their lists, or leaves them open.

    Returns:
        i64[N] candidates or OPEN, and a lower bound of the total distance.
    """
    num_rows = len(lists.widths)
    ends = np.cumsum(lists.widths)
    price = lists.distances[ends - 1].astype(np.float64) + ROUNDING
    may_open = np.flatnonzero(lists.widths < lists.num_candidates)
    # columns that nobody has on the list would only cost time
    used, columns = np.unique(lists.numbers, return_inverse=True)
    open_columns = len(used) + np.arange(len(may_open))
    # 1 is added to all, since an edge of weight 0 is none
    weights = np.concatenate([lists.distances.astype(np.float64), price[may_open]]) + 1
    rows = np.concatenate([lists.rows, may_open])
    columns = np.concatenate([columns, open_columns])
    graph = csr_array(
        (weights, (rows, columns)), shape=(num_rows, len(used) + len(may_open))
    )
    found_rows, found = min_weight_full_bipartite_matching(graph)
    total = float(graph[found_rows, found].sum()) - num_rows
    is_open = found >= len(used)
    chosen = np.where(is_open, OPEN, used[np.where(is_open, 0, found)])
    return chosen.astype(np.int64), total - ROUNDING * num_rows


def _fill(chosen, neighbours, targets, candidates, limits) -> None:
    """Gives every open target one of the candidates that are left."""
    while len(left := np.flatnonzero(chosen == OPEN)):
        free = np.ones(len(candidates), bool)
        free[chosen[chosen != OPEN]] = False
        places = np.flatnonzero(free)
        if len(left) * len(places) <= limits.dense_pairs:
            chosen[left] = places[exact(targets[left], candidates[places]).chosen]
            return
        # open costs more than the last on a list, so somebody takes a candidate
        k = min(limits.k, len(places))
        near = _Lists.near(neighbours, targets[left], k, free)
        chosen[left] = _match(near)[0]
