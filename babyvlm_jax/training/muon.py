"""Muon for weights that are sharded over devices.

Muon makes each matrix of momentum nearly orthogonal, for which it needs the whole
matrix. Gathering all matrices on every device would cost the memory that sharding
saves, and every device would do the same work. Here each device takes whole layers
instead: an all-to-all turns shards of all matrices into all of some matrices, and
another one turns the result back.

Axes: L layers, of a scan's stacked matrices.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from babyvlm_jax import sharding

# Scales updates to the RMS of AdamW's (Moonlight, arXiv 2502.16982).
UPDATE_RMS = 0.2


def takes(path: str, leaf: jax.Array) -> bool:
    """Whether Muon takes a parameter: matrices, which are named `w` (models/layers.py).

    A scan's leading axis is a batch of matrices. Everything else goes to AdamW.
    """
    return path.endswith("/w") and leaf.ndim >= 2


def matrix_axes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Which axes of the leaves that Muon was given are [in, out]: the last two."""

    def axes(leaf):
        if isinstance(leaf, optax.MaskedNode):
            return leaf
        return optax.contrib.MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1)

    return {path: axes(leaf) for path, leaf in params.items()}


def make_muon(
    schedule: optax.Schedule,
    steps: int,
    momentum: float,
    weight_decay: float,
    decay_mask: Callable[[Any], Any],
    adam: optax.GradientTransformation,
    names: Mapping[str, Sequence[str | None]] | None = None,
) -> optax.GradientTransformation:
    """Muon on matrices and `adam` on the rest, over a flat dict of parameters.

    Args:
        schedule: step -> learning rate of the matrices.
        steps: Newton-Schulz iterations.
        names: path -> logical names of the parameter's dimensions, for meshes that
            share a matrix; None where each device has whole ones.

    Source: Muon (Keller Jordan, github.com/KellerJordan/Muon), through optax.
    """
    orthogonal = optax.contrib.scale_by_muon(
        ns_steps=steps, beta=momentum, weight_dimension_numbers=matrix_axes
    )
    if names is not None:
        orthogonal = spread_layers(orthogonal, names)
    matrices = optax.chain(
        orthogonal,
        optax.stateless(lambda updates, _: jax.tree.map(_to_rms, updates)),
        optax.add_decayed_weights(weight_decay, decay_mask),
        optax.scale_by_learning_rate(schedule),
    )
    return optax.partition(
        {"muon": matrices, "adam": adam},
        lambda params: {
            path: "muon" if takes(path, leaf) else "adam"
            for path, leaf in params.items()
        },
    )


def _to_rms(update):
    return jnp.sqrt(jnp.maximum(*map(float, update.shape[-2:]))) * UPDATE_RMS * update


def spread_layers(
    tx: optax.GradientTransformation, names: Mapping[str, Sequence[str | None]]
) -> optax.GradientTransformation:
    """`tx` with each stacked matrix whole on one device while it updates.

    Layers are padded with zeros to a multiple of the devices that share a matrix.
    Matrices without a layer axis are left to XLA, which gathers one at a time.

    Args:
        tx: has a state with momentum `mu`, and treats the layers of a leaf separately.
        names: path -> logical names of the parameter's dimensions.
    """

    def update(updates, state, params=None):
        mesh = jax.sharding.get_abstract_mesh()
        layouts = {path: Layout(names[path], mesh) for path in updates}
        wide = _each(Layout.spread, layouts, updates)
        mu = _each(Layout.spread, layouts, state.mu)
        wide, new = tx.update(wide, state._replace(mu=mu), params)
        updates = _each(Layout.restore, layouts, wide, updates)
        mu = _each(Layout.restore, layouts, new.mu, state.mu)
        return updates, new._replace(mu=mu)

    return optax.GradientTransformation(tx.init, update)


def _each(method, layouts, *trees):
    """The method for every leaf; what Muon does not take passes through."""
    return {
        path: method(layouts[path], *(tree[path] for tree in trees))
        if isinstance(trees[0][path], jax.Array)
        else trees[0][path]
        for path in trees[0]
    }


class Layout:
    """How one stacked matrix is sharded, and its two steps to whole layers and back."""

    def __init__(self, names: Sequence[str | None], mesh: Any):
        axes = [_used(entry, mesh) for entry in sharding.spec(*names)]
        self.steps, self.ways = (), 1
        if len(axes) == 3 and not axes[0] and (axes[1] or axes[2]):
            rows, columns = axes[1], axes[2]
            self.ways = math.prod(mesh.shape[axis] for axis in rows + columns)
            # One axis moves at a time: an all-to-all each.
            self.steps = (
                PartitionSpec(None, rows or None, columns or None),
                PartitionSpec(rows or None, None, columns or None),
                PartitionSpec(rows + columns, None, None),
            )

    def spread(self, x: jax.Array) -> jax.Array:
        """[L, in, out] in shards -> [L rounded up, in, out], whole layers a device."""
        if not self.steps:
            return x
        x = jnp.pad(x, ((0, -x.shape[0] % self.ways), (0, 0), (0, 0)))
        for step in self.steps:
            x = jax.lax.with_sharding_constraint(x, step)
        return x

    def restore(self, x: jax.Array, like: jax.Array) -> jax.Array:
        """The inverse of `spread`."""
        for step in reversed(self.steps):
            x = jax.lax.with_sharding_constraint(x, step)
        return x[: like.shape[0]]


def _used(entry, mesh) -> tuple[str, ...]:
    """Mesh axes of a dimension that have more than one device."""
    entry = (entry,) if isinstance(entry, str) else entry or ()
    return tuple(axis for axis in entry if mesh.shape[axis] > 1)
