"""The nearest candidates of each target, found on the devices, exactly.

The candidates are spread over all devices; each device finds the best of its share for
a block of targets, and the best of these are the best of all.
Axes: N targets, M candidates, D width, B targets of a block.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tqdm import tqdm

BLOCK = 256  # targets compared at a time: 200 MB with 200,000 candidates


class Neighbours:
    """Candidates on the devices, to be asked for those nearest to targets.

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
        self._mesh = jax.make_mesh((devices,), ("share",), axis_types=(AxisType.Auto,))
        self._block = block
        self.size = len(candidates)
        missing = -self.size % devices
        padded = np.pad(candidates.astype(np.float32), ((0, missing), (0, 0)))
        self._candidates = jax.device_put(padded, self._sharded())

    def _sharded(self):
        return NamedSharding(self._mesh, P("share"))

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
            found = _nearest(block, self._candidates, mask, k, self._mesh)
            here = slice(first, first + len(part))
            numbers[here] = np.asarray(found[0])[: len(part)]
            distances[here] = 1 - np.asarray(found[1])[: len(part)]
            bar.update(len(part))
        bar.close()
        return numbers, np.maximum(distances, 0)


@functools.partial(jax.jit, static_argnames=("k", "mesh"))
def _nearest(block, candidates, mask, k, mesh):
    """f32[B, D], f32[M, D], bool[M] -> i32[B, k] numbers, f32[B, k] cosines."""

    def share(block, candidates, mask):
        cosines = jnp.einsum(
            "BD,MD->BM", block, candidates, precision=jax.lax.Precision.HIGHEST
        )
        cosines = jnp.where(mask, cosines, -jnp.inf)
        best, place = jax.lax.top_k(cosines, min(k, len(mask)))
        return place + jax.lax.axis_index("share") * len(mask), best

    numbers, cosines = jax.shard_map(
        share,
        mesh=mesh,
        in_specs=(P(), P("share"), P("share")),
        out_specs=(P(None, "share"), P(None, "share")),
    )(block, candidates, mask)
    best, place = jax.lax.top_k(cosines, k)
    return jnp.take_along_axis(numbers, place, axis=1), best
