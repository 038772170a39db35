"""Training steps: pure factories, jitted by the caller with the state donated.

`make_train_step` makes the update; `skipping` lets a step that would make anything not
finite change nothing, and counts it. Such a step is bad: its loss or gradient is not
finite, or a parameter, the optimizer's state or what a loss carries along would cease
to be. So a state that begins finite stays finite, and nothing else is ever saved.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from babyvlm_jax.training.optim import join_params, split_params
from babyvlm_jax.training.state import TrainState

MAX_IN_A_ROW = 5  # ours: one bad batch is the data's, five are the run's


def is_hopeless(skipped):
    """Have so many steps in a row been skipped that the run shall stop?"""
    return skipped >= MAX_IN_A_ROW


# (params, extra, batch, key) -> (total f32[], (sums, new extra)); sums are f32[]:
# "count", by which total is divided; "z", what of total is z-loss; and for datasets
# "nll/NAME" and "count/NAME"
LossFn = Callable[..., tuple[jax.Array, tuple[dict[str, jax.Array], Any]]]


def _sums_and_grads(computed):
    """What a microbatch adds: (total, sums, gradients)."""
    (total, (sums, _)), grads = computed
    return total, sums, grads


def make_train_step(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    trains: tuple[str, ...],
    key: jax.Array,
    accumulate: int = 1,
    after_update: Callable[[Any], Any] | None = None,
    rate_scale: Callable[[Any], jax.Array] | None = None,
):
    """Returns step(state, batch) -> (state, metrics); metrics are f32[] scalars.

    They are loss, count, grad_norm; z_loss, where there is one, which loss includes;
    and for each dataset that the loss keeps apart, loss/NAME: nan in a batch that has
    nothing of it; and rate_scale, where there is one.

    Gradients and counts are summed over `accumulate` microbatches and divided once,
    so unequal numbers of supervised tokens weigh every token the same.

    Args:
        loss_fn: see `LossFn`.
        trains: patterns of the parameters that get gradients.
        key: folded with the step, so step s draws the same whenever it runs.
        accumulate: microbatches; divides the batch's first dimension.
        after_update: params -> params, applied last (DINO: the teacher follows).
        rate_scale: extra -> f32[], a factor of the learning rate.
    """

    def grads_of(trainable, frozen, extra, batch, step_key):
        def total_loss(trainable):
            return loss_fn(join_params(trainable, frozen), extra, batch, step_key)

        return jax.value_and_grad(total_loss, has_aux=True)(trainable)

    def accumulated(trainable, frozen, extra, batch, step_key):
        micro = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch)

        def body(carry, inputs):
            so_far, extra = carry
            index, one = inputs
            micro_key = jax.random.fold_in(step_key, index)
            (loss, (sums, extra)), g = grads_of(
                trainable, frozen, extra, one, micro_key
            )
            return (jax.tree.map(jnp.add, so_far, (loss, sums, g)), extra), None

        zero = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
            jax.eval_shape(
                lambda one: _sums_and_grads(
                    grads_of(trainable, frozen, extra, one, step_key)
                ),
                jax.tree.map(lambda x: x[0], micro),
            ),
        )
        ((total, sums, grads), extra), _ = jax.lax.scan(
            body, (zero, extra), (jnp.arange(accumulate), micro)
        )
        return (total, (sums, extra)), grads

    def step(state: TrainState, batch):
        step_key = jax.random.fold_in(key, state.step)
        trainable, frozen = split_params(state.params, trains)
        compute = grads_of if accumulate == 1 else accumulated
        (total, (sums, extra)), grads = compute(
            trainable, frozen, state.extra, batch, step_key
        )
        divisor = jnp.maximum(sums["count"], 1)
        grads = jax.tree.map(lambda g: g / divisor, grads)
        updates, opt_state = tx.update(grads, state.opt_state, trainable)
        if rate_scale:
            scale = rate_scale(state.extra)
            updates = jax.tree.map(lambda update: scale * update, updates)
        trainable = optax.apply_updates(trainable, updates)
        params = join_params(trainable, frozen)
        if after_update:
            params = after_update(params)
        state = state.replace(
            step=state.step + 1, params=params, opt_state=opt_state, extra=extra
        )
        metrics = {
            "loss": total / divisor,
            "count": sums["count"],
            "grad_norm": optax.tree.norm(grads),
        }
        if "z" in sums:
            metrics["z_loss"] = sums["z"] / divisor
        if rate_scale:
            metrics["rate_scale"] = scale
        sources = [k.removeprefix("nll/") for k in sums if k.startswith("nll/")]
        for name in sources:
            metrics[f"loss/{name}"] = sums[f"nll/{name}"] / sums[f"count/{name}"]
        return state, metrics

    return step


def skipping(step: Callable[[TrainState, Any], tuple[TrainState, dict]]):
    """Returns step(state, batch) -> (state, metrics) that skips bad steps.

    A skipped step leaves everything as it was but `state.step` and `state.skips`. After
    `MAX_IN_A_ROW` of them the state stands still, `state.step` too: whoever looks at it
    later finds it as it was then. The metrics get `skipped`, all so far, and
    `skipped_in_a_row`.

    Args:
        step: from `make_train_step`; its metrics have `loss` and `grad_norm`.
    """

    def guarded(state: TrainState, batch):
        after, metrics = step(state, batch)
        finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
        finite &= _stays_finite(after, state)
        total, lately = state.skips
        stands = is_hopeless(lately)
        skipped = jnp.stack([total + 1, lately + 1])
        going = jnp.stack([total, jnp.zeros_like(lately)])
        skips = jnp.where(stands, state.skips, jnp.where(finite, going, skipped))

        def unless_bad(new, old):
            return jnp.where(finite & ~stands, new, old)

        kept = jax.tree.map(unless_bad, after, state)
        step_now = jnp.where(stands, state.step, state.step + 1)
        counts = {"skipped": skips[0], "skipped_in_a_row": skips[1]}
        return kept.replace(step=step_now, skips=skips), metrics | counts

    return guarded


def _stays_finite(after: TrainState, before: TrainState) -> jax.Array:
    """bool[]: whether `after` may be kept.

    What a step hands on untouched, such as frozen parameters, is not read. In `extra`
    a validation loss that was not measured yet is inf, and may stay so.
    """

    def is_sound(new, old, may_stay=False):
        if new is old or not jnp.issubdtype(new.dtype, jnp.floating):
            return True
        sound = jnp.isfinite(new)
        return jnp.all(sound | ~jnp.isfinite(old) if may_stay else sound)

    learned = jax.tree.map(
        is_sound, (after.params, after.opt_state), (before.params, before.opt_state)
    )
    carried = jax.tree.map(
        lambda new, old: is_sound(new, old, True), after.extra, before.extra
    )
    return functools.reduce(
        jnp.logical_and, jax.tree.leaves((learned, carried)), jnp.bool_(True)
    )
