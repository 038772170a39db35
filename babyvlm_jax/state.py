"""The training state: declared abstractly first, then materialised in place."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from babyvlm_jax import sharding
from babyvlm_jax.optim import split_params


@flax.struct.dataclass
class TrainState:
    """What a step needs and changes.

    Attributes:
        step: i32[] steps done.
        params: parameter tree.
        opt_state: optimizer state of the trainable leaves.
        extra: what a loss carries along (DINO: the centre), else {}.
    """

    step: jax.Array
    params: Any
    opt_state: Any
    extra: Any


def make_init(
    init_params: Callable[[jax.Array], tuple[Any, Any]],
    tx: optax.GradientTransformation,
    trains: tuple[str, ...],
) -> Callable[[jax.Array], TrainState]:
    """Returns init(key) -> TrainState; pure, so that it can be traced or sharded.

    Args:
        init_params: key -> (params, extra).
        trains: patterns of the trainable parameters.
    """

    def init(key):
        params, extra = init_params(key)
        trainable, _ = split_params(params, trains)
        step = jnp.zeros((), jnp.int32)
        return TrainState(step, params, tx.init(trainable), extra)

    return init


def state_shardings(mesh: Mesh, abstract: TrainState, param_specs: Any):
    """Shardings of the whole state.

    A leaf of the optimizer or of `extra` lies like the parameter whose path it ends
    with and whose shape it shares; every other leaf is replicated.

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


def init_state(init, key: jax.Array, mesh: Mesh, param_specs: Any) -> TrainState:
    """Materialises a state, each leaf where it belongs."""
    shardings = state_shardings(mesh, jax.eval_shape(init, key), param_specs)
    return jax.jit(init, out_shardings=shardings)(key)


def _key(path) -> str:
    return "/" + jax.tree_util.keystr(path, simple=True, separator="/")


def _flat(tree, is_leaf=None) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    return {_key(path)[1:]: leaf for path, leaf in leaves}
