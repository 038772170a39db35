"""Muon on shared matrices: the same updates, and no gathering."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding

from babyvlm_jax import sharding
from babyvlm_jax.training.muon import make_muon
from tests import tiny
from tests.programs import gathered

LAYERS = 6  # no multiple of the devices
NAMES = {
    "blocks/up/w": ("layers", "embed", "mlp"),
    "blocks/down/w": ("layers", "mlp", "embed"),
    "blocks/norm/scale": ("layers", "norm"),
    "connector/w": ("embed", "mlp"),
}
SHAPES = {
    "blocks/up/w": (LAYERS, 16, 32),
    "blocks/down/w": (LAYERS, 32, 16),
    "blocks/norm/scale": (LAYERS, 16),
    "connector/w": (16, 32),
}


def optimizer(names):
    return make_muon(
        optax.constant_schedule(1.0),
        steps=4,
        momentum=0.9,
        weight_decay=0.1,
        decay_mask=lambda params: dict.fromkeys(params, True),
        adam=optax.adam(1.0),
        names=names,
    )


def tree(seed):
    rng = np.random.default_rng(seed)
    return {path: rng.normal(size=shape) for path, shape in SHAPES.items()}


def placed(values, mesh):
    return {
        path: jax.device_put(
            jnp.asarray(value, jnp.float32),
            NamedSharding(mesh, sharding.spec(*NAMES[path])),
        )
        for path, value in values.items()
    }


def two_steps(sizes, names):
    """Updates of the second step, on the host, and the compiled program."""
    mesh = tiny.mesh_of(*sizes)
    tx = optimizer(names)
    with jax.set_mesh(mesh):
        params = placed(tree(0), mesh)

        def both(params, first, second):
            state = tx.init(params)
            _, state = tx.update(first, state, params)
            updates, _ = tx.update(second, state, params)
            return {
                path: jax.lax.with_sharding_constraint(
                    update, sharding.spec(*NAMES[path])
                )
                for path, update in updates.items()
            }

        args = params, placed(tree(1), mesh), placed(tree(2), mesh)
        compiled = jax.jit(both).lower(*args).compile()
        return jax.tree.map(np.asarray, compiled(*args)), compiled.as_text()


@pytest.fixture(scope="module")
def alone():
    return two_steps((1, 1, 1), None)[0]


@pytest.mark.integration
@pytest.mark.parametrize("sizes", [(1, 8, 1), (2, 2, 2)])
def test_spread_layers_give_the_updates_of_one_device(alone, sizes, capfd):
    updates, program = two_steps(sizes, NAMES)
    assert "Involuntary full rematerialization" not in capfd.readouterr().err
    for path, expected in alone.items():
        # f32 sums in another order, through four Newton-Schulz steps
        np.testing.assert_allclose(updates[path], expected, atol=2e-4, err_msg=path)
    # no device ever holds all layers of a matrix
    whole = [shape for shape in gathered(program) if np.prod(shape) > 16 * 32]
    assert not whole
    assert "all-to-all" in program


@pytest.mark.integration
def test_without_spreading_a_shared_matrix_is_gathered():
    """What the spreading is for; should XLA learn better, it can go."""
    _, program = two_steps((1, 8, 1), None)
    assert max(map(np.prod, gathered(program)), default=0) > 16 * 32


@pytest.mark.integration
def test_the_layout_needs_no_constraint_where_nothing_is_shared(alone):
    updates, program = two_steps((1, 1, 1), NAMES)
    assert "all-to-all" not in program
    for path, expected in alone.items():
        np.testing.assert_array_equal(updates[path], expected)
