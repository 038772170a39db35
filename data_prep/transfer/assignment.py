"""One candidate for each target, no candidate twice, at the least total distance.

`Neighbours` finds the nearest candidates of each target exactly: the candidates are
spread over all devices, each device finds the best of its share for a block of targets,
and the best of these are the best of all.

`exact` looks at every pair. `sparse` looks at lists of near candidates and still
knows how far it is from the optimum:

1. The nearest candidates of each target are found once. Its list is the first k of
   them, and beside them the choice to stay open, at the price of the last one on the
   list. Whatever is not on the list costs at least that much, so the cheapest choice
   for all (a full matching, which always exists) costs no more than the optimum: a
   lower bound.
2. Targets that stay open get lists twice as long, and all is matched again. If none
   stays open, the matching is the optimum of all pairs.
3. Targets that are open when the lists cannot grow any more are matched among the
   candidates that are left, by the same means.

Axes: N targets, M candidates, D width, B targets of a block, W entries of the longest
list, E edges.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from etils import epy
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from tqdm import tqdm

with epy.lazy_imports():  # the command's --help needs none of these
    import jax
    import jax.numpy as jnp
    from jax import sharding

BLOCK = 256  # targets compared at a time: 200 MB with 200,000 candidates


class Neighbours:
    """Candidates on the devices; finds those nearest to targets.

    Attributes:
        size: M.
    """

    def __init__(self, candidates: np.ndarray, block: int = BLOCK):
        """
        Args:
            candidates: f32[M, D] of unit norm.
            block: targets compared at a time.
        """
        devices = len(jax.devices())
        auto = (sharding.AxisType.Auto,)
        self._mesh = jax.make_mesh((devices,), ("share",), axis_types=auto)
        self._block = block
        self.size = len(candidates)
        missing = -self.size % devices
        padded = np.pad(candidates.astype(np.float32), ((0, missing), (0, 0)))
        self._candidates = jax.device_put(padded, self._sharded())

    def _sharded(self):
        return sharding.NamedSharding(self._mesh, jax.P("share"))

    def nearest(
        self, targets: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k candidates nearest to each target, nearest first.

        Args:
            targets: f32[N, D] of unit norm.
            k: candidates of a target; at most as many as are allowed.
            allowed: bool[M] which may be given; None for all.

        Returns:
            i32[N, k] numbers of the candidates, f32[N, k] cosine distances.
        """
        mask = np.zeros(len(self._candidates), bool)
        mask[: self.size] = True if allowed is None else allowed
        if k > mask.sum():
            raise ValueError(f"{k} candidates wanted, {mask.sum()} are allowed")
        mask = jax.device_put(mask, self._sharded())
        numbers = np.empty((len(targets), k), np.int32)
        distances = np.empty((len(targets), k), np.float32)
        bar = tqdm(total=len(targets), desc=f"{k} nearest", leave=False)
        for first in range(0, len(targets), self._block):
            part = targets[first : first + self._block].astype(np.float32)
            missing = self._block - len(part)  # so that it compiles once
            block = jnp.asarray(np.pad(part, ((0, missing), (0, 0))))
            found = _nearest(k, self._mesh)(block, self._candidates, mask)
            here = slice(first, first + len(part))
            numbers[here] = np.asarray(found[0])[: len(part)]
            distances[here] = 1 - np.asarray(found[1])[: len(part)]
            bar.update(len(part))
        bar.close()
        return numbers, np.maximum(distances, 0)


@functools.cache
def _nearest(k, mesh):
    """f32[B, D], f32[M, D], bool[M] -> i32[B, k] numbers, f32[B, k] cosines."""

    def of_a_device(block, candidates, mask):
        cosines = jnp.einsum(
            "BD,MD->BM", block, candidates, precision=jax.lax.Precision.HIGHEST
        )
        cosines = jnp.where(mask, cosines, -jnp.inf)
        best, place = jax.lax.top_k(cosines, min(k, len(mask)))
        return place + jax.lax.axis_index("share") * len(mask), best

    def of_all(block, candidates, mask):
        numbers, cosines = jax.shard_map(
            of_a_device,
            mesh=mesh,
            in_specs=(jax.P(), jax.P("share"), jax.P("share")),
            out_specs=(jax.P(None, "share"), jax.P(None, "share")),
        )(block, candidates, mask)
        best, place = jax.lax.top_k(cosines, k)
        return jnp.take_along_axis(numbers, place, axis=1), best

    return jax.jit(of_all)


OPEN = -1
K = 32
WIDEST = 256
PASSES = 8
MAX_EDGES = 16_000_000  # ours
DENSE_PAIRS = 50_000_000  # ours: 0.4 GB of distances
ROUNDING = 1e-6  # of a distance computed in f32; open must cost more than the last


@dataclasses.dataclass(frozen=True)
class Limits:
    """How hard to try.

    Attributes:
        k: candidates on a list at first.
        widest: candidates on a list at most.
        passes: matchings of all targets, at most.
        max_edges: entries of all lists together, at most.
        dense_pairs: fewer pairs than this are matched exactly at the end.
    """

    k: int = K
    widest: int = WIDEST
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
    """The optimum over all pairs; needs memory for f64[N, M] distances.

    Args:
        targets: f32[N, D] of unit norm.
        candidates: f32[M, D] of unit norm, M >= N.
    """
    cost = targets.astype(np.float64) @ candidates.astype(np.float64).T
    np.subtract(1, cost, out=cost)
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
    lists = _Lists.near(neighbours, targets, limits)
    passes = []
    with tqdm(desc="matching", unit="pass") as bar:
        while True:
            chosen, bound = _match(lists)
            left = np.flatnonzero(chosen == OPEN)
            passes.append({"edges": lists.num_edges, "open": len(left)})
            bar.set_postfix(passes[-1])
            bar.update()
            longer = lists.lengthened(left)
            grows = lists.num_edges < longer.num_edges <= limits.max_edges
            if not len(left) or len(passes) == limits.passes or not grows:
                break
            lists = longer
    is_optimal = not len(left)
    _fill(chosen, neighbours, targets, candidates, limits)
    return Matching(chosen, bound, is_optimal, tuple(passes))


@dataclasses.dataclass(frozen=True)
class _Lists:
    """Candidates near to targets, and how many of them count for each.

    Attributes:
        numbers: i32[N, W] candidates, the nearest first.
        distances: f32[N, W] of them.
        widths: i64[N] entries that are on a target's list.
        is_whole: whether W is all there are: then nothing else can be chosen.
    """

    numbers: np.ndarray
    distances: np.ndarray
    widths: np.ndarray
    is_whole: bool

    @classmethod
    def near(cls, neighbours, targets, limits, allowed=None) -> "_Lists":
        there = neighbours.size if allowed is None else int(allowed.sum())
        widest = min(max(limits.k, limits.widest), there)
        numbers, distances = neighbours.nearest(targets, widest, allowed)
        widths = np.full(len(targets), min(limits.k, widest))
        return cls(numbers, distances, widths, widest == there)

    @property
    def num_edges(self) -> int:
        return int(self.widths.sum())

    def lengthened(self, which: np.ndarray) -> "_Lists":
        """With the lists of the targets `which` twice as long, if there is more."""
        widths = self.widths.copy()
        widths[which] = np.minimum(2 * widths[which], self.numbers.shape[1])
        return dataclasses.replace(self, widths=widths)


def _match(lists: _Lists) -> tuple[np.ndarray, float]:
    """Matches targets to what is on their lists, or leaves them open.

    Returns:
        i64[N] candidates or OPEN, and a lower bound of the total distance.
    """
    num_rows, widest = lists.numbers.shape
    listed = np.arange(widest) < lists.widths[:, None]
    last = lists.distances[np.arange(num_rows), lists.widths - 1]
    can_open = np.flatnonzero(~lists.is_whole | (lists.widths < widest))
    # columns that nobody has on the list would only cost time
    used, columns = np.unique(lists.numbers[listed], return_inverse=True)
    open_columns = len(used) + np.arange(len(can_open))
    weights = [lists.distances[listed], last[can_open].astype(np.float64) + ROUNDING]
    rows = [np.repeat(np.arange(num_rows), lists.widths), can_open]
    columns = np.concatenate([columns, open_columns]).astype(np.int32)
    # 1 is added to all, since an edge of weight 0 is none
    graph = csr_array(
        (1 + np.concatenate(weights), (np.concatenate(rows).astype(np.int32), columns)),
        shape=(num_rows, len(used) + len(can_open)),
    )
    found_rows, found = min_weight_full_bipartite_matching(graph)
    total = float(graph[found_rows, found].sum()) - num_rows
    is_open = found >= len(used)
    chosen = np.where(is_open, OPEN, used[np.where(is_open, 0, found)])
    return chosen.astype(np.int64), total - ROUNDING * num_rows


def _fill(chosen, neighbours, targets, candidates, limits) -> None:
    """Gives every open target one of the candidates that are left."""
    limits = dataclasses.replace(limits, k=limits.widest)
    while len(left := np.flatnonzero(chosen == OPEN)):
        free = np.ones(len(candidates), bool)
        free[chosen[chosen != OPEN]] = False
        places = np.flatnonzero(free)
        if len(left) * len(places) <= limits.dense_pairs:
            chosen[left] = places[exact(targets[left], candidates[places]).chosen]
            return
        # open costs more than the last on a list, so somebody takes a candidate
        chosen[left] = _match(_Lists.near(neighbours, targets[left], limits, free))[0]
