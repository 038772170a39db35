"""The training state and how its leaves are sharded."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from babyvlm_jax import sharding
from babyvlm_jax.training.optim import split_params


@flax.struct.dataclass
class TrainState:
    """What a step needs and changes.

    Attributes:
        step: i32[] steps done.
        params: parameter tree.
        opt_state: optimizer state of the trainable leaves.
        extra: what a loss carries along (DINO: the centre), else {}.
        skips: i32[2] steps skipped so far, and those of them without one that was not
            skipped since; see `step.skipping`.
    """

    step: jax.Array
    params: Any
    opt_state: Any
    extra: Any
    skips: jax.Array


def state_shardings(mesh: Mesh, abstract: TrainState, param_specs: Any):
    """Shardings of the whole state.

    A leaf of the optimizer or of `extra` is sharded like the parameter whose path it
    ends with and whose shape it shares; every other leaf is replicated.

    Args:
        abstract: tree of ShapeDtypeStruct, from `jax.eval_shape`.
        param_specs: logical axis names of the parameters.
    """
    names = _flat(param_specs, is_leaf=lambda leaf: isinstance(leaf, tuple))
    shapes = {path: leaf.shape for path, leaf in _flat(abstract.params).items()}

    def place(path, leaf):
        key = _key(path)
        for name in names:
            if key.endswith("/" + name) and leaf.shape == shapes[name]:
                return NamedSharding(mesh, sharding.spec(*names[name]))
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree_util.tree_map_with_path(place, abstract)


def make_state(params, extra, tx, trains, mesh: Mesh, param_specs) -> TrainState:
    """A fresh state around parameters that are on the mesh.

    Args:
        params, extra: see `TrainState`.
        tx: optimizer over the flat dict of trainable parameters.
        trains: patterns of the trainable parameters.
    """
    make = functools.partial(_fresh, tx, trains)
    abstract = jax.eval_shape(make, params, extra)
    shardings = state_shardings(mesh, abstract, param_specs)
    return jax.jit(make, out_shardings=shardings, donate_argnums=0)(params, extra)


def abstract_state(params, extra, tx, trains, mesh: Mesh, param_specs) -> TrainState:
    """What `make_state` gives, as shapes with shardings; nothing is allocated.

    Args:
        params, extra: trees of shapes; the others as in `make_state`.
    """
    abstract = jax.eval_shape(functools.partial(_fresh, tx, trains), params, extra)
    shardings = state_shardings(mesh, abstract, param_specs)
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=place
        ),
        abstract,
        shardings,
    )


def _fresh(tx, trains, params, extra) -> TrainState:
    trainable, _ = split_params(params, trains)
    zero, none = jnp.zeros((), jnp.int32), jnp.zeros(2, jnp.int32)
    return TrainState(zero, params, tx.init(trainable), extra, none)


def _key(path) -> str:
    return "/" + jax.tree_util.keystr(path, simple=True, separator="/")


def _flat(tree, is_leaf=None) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    return {_key(path)[1:]: leaf for path, leaf in leaves}
