"""Training steps: pure factories, jitted by the caller with the state donated."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from babyvlm_jax.losses import token_nll
from babyvlm_jax.models.vlm import Model
from babyvlm_jax.optim import join_params, split_params
from babyvlm_jax.state import TrainState

# (params, extra, batch, key) -> (total f32[], (count f32[], new extra))
LossFn = Callable[..., tuple[jax.Array, tuple[jax.Array, Any]]]


def make_token_loss(model: Model) -> LossFn:
    """Sum of the supervised tokens' negative log-likelihood over a row batch."""

    def loss(params, extra, batch, key):
        del key
        logits = model.forward(params, batch)
        total, count = token_nll(logits, batch["targets"], batch["loss_mask"])
        return total, (count, extra)

    return loss


def make_train_step(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    trains: tuple[str, ...],
    key: jax.Array,
    accumulate: int = 1,
    after_update: Callable[[Any], Any] | None = None,
):
    """Returns step(state, batch) -> (state, metrics); metrics are f32[] scalars.

    Gradients and counts are summed over `accumulate` microbatches and divided once,
    so unequal numbers of supervised tokens weigh every token the same.

    Args:
        loss_fn: see `LossFn`.
        trains: patterns of the parameters that get gradients.
        key: folded with the step, so step s draws the same whenever it runs.
        accumulate: microbatches; divides the batch's first dimension.
        after_update: params -> params, applied last (DINO: the teacher follows).
    """

    def grads_of(trainable, frozen, extra, batch, step_key):
        def total_loss(trainable):
            return loss_fn(join_params(trainable, frozen), extra, batch, step_key)

        return jax.value_and_grad(total_loss, has_aux=True)(trainable)

    def accumulated(trainable, frozen, extra, batch, step_key):
        micro = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch)

        def body(carry, inputs):
            (total, count, grads), extra = carry
            index, one = inputs
            micro_key = jax.random.fold_in(step_key, index)
            (loss, (n, extra)), g = grads_of(trainable, frozen, extra, one, micro_key)
            sums = (total + loss, count + n, jax.tree.map(jnp.add, grads, g))
            return (sums, extra), None

        zero = jnp.zeros((), jnp.float32)
        start = ((zero, zero, jax.tree.map(jnp.zeros_like, trainable)), extra)
        ((total, count, grads), extra), _ = jax.lax.scan(
            body, start, (jnp.arange(accumulate), micro)
        )
        return (total, (count, extra)), grads

    def step(state: TrainState, batch):
        step_key = jax.random.fold_in(key, state.step)
        trainable, frozen = split_params(state.params, trains)
        compute = grads_of if accumulate == 1 else accumulated
        (total, (count, extra)), grads = compute(
            trainable, frozen, state.extra, batch, step_key
        )
        divisor = jnp.maximum(count, 1)
        grads = jax.tree.map(lambda g: g / divisor, grads)
        updates, opt_state = tx.update(grads, state.opt_state, trainable)
        trainable = optax.apply_updates(trainable, updates)
        params = join_params(trainable, frozen)
        if after_update:
            params = after_update(params)
        state = TrainState(state.step + 1, params, opt_state, extra)
        metrics = {
            "loss": total / divisor,
            "count": count,
            "grad_norm": optax.tree.norm(grads),
        }
        return state, metrics

    return step
