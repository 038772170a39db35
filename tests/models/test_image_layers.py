"""Batch norm with stored statistics, which training leaves as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from babyvlm_jax.models.vision import FrozenBatchNorm
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.optim import make_tx

X = jnp.array([[[[1.0, 10.0]]], [[[3.0, 20.0]]]])
STORED = {
    "scale": jnp.array([2.0, 1.0]),
    "bias": jnp.array([0.5, 0.0]),
    "mean": jnp.array([1.0, 15.0]),
    "var": jnp.array([4.0, 25.0]),
}


def test_frozen_batch_norm():
    out = FrozenBatchNorm(0.0).apply({"params": STORED}, X)
    # (1 - 1) / 2 * 2 + .5, (10 - 15) / 5; (3 - 1) / 2 * 2 + .5, (20 - 15) / 5
    np.testing.assert_allclose(out[:, 0, 0], [[0.5, -1.0], [2.5, 1.0]], rtol=1e-6)


def test_training_moves_scale_and_bias_and_no_statistics():
    params = {f"bn/{name}": value for name, value in STORED.items()}
    cfg = OptimConfig(lr_peak=0.1, schedule="constant", weight_decay=0.1)
    tx = make_tx(cfg, 10)

    def total(params):
        stored = {path.removeprefix("bn/"): leaf for path, leaf in params.items()}
        return jnp.sum(FrozenBatchNorm(1e-5).apply({"params": stored}, X) ** 3)

    @jax.jit
    def step(params, opt_state):
        updates, opt_state = tx.update(jax.grad(total)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    after, opt_state = params, tx.init(params)
    for _ in range(2):  # the first step of the warm-up has a rate of 0
        after, opt_state = step(after, opt_state)
    moved = {path for path, leaf in params.items() if (after[path] != leaf).any()}
    assert moved == {"bn/scale", "bn/bias"}
