"""Steps that would make anything not finite change nothing, and are counted.

A step is bad if its loss or gradient is not finite, or a parameter, the optimizer's
state or what a loss carries along would cease to be: so a state that begins finite
stays finite, and nothing else is ever saved. Like `step`, pure: the caller jits it,
and reads the counts when it logs.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.training.state import TrainState

MAX_IN_A_ROW = 5  # ours: one bad batch is the data's, five are the run's


def is_hopeless(skipped):
    """Have so many steps in a row been skipped that the run shall stop?"""
    return skipped >= MAX_IN_A_ROW


def in_a_row(state: TrainState) -> int:
    """Steps skipped since the last good one; waits for the step that made the state."""
    return int(np.asarray(state.skips)[1])


def never_learned(state: TrainState) -> bool:
    """Was every step so far skipped? Waits for the step that made the state."""
    return 0 < in_a_row(state) == int(state.step)


def skipping(step: Callable[[TrainState, Any], tuple[TrainState, dict]]):
    """Returns step(state, batch) -> (state, metrics) that skips bad steps.

    A skipped step leaves everything as it was but `state.step` and `state.skips`. After
    `MAX_IN_A_ROW` of them the state stands still, `state.step` too: whoever looks at it
    later finds it as it was then. The metrics get `skipped`, all so far, and
    `skipped_in_a_row`.

    Args:
        step: from `step.make_train_step`; its metrics have `loss` and `grad_norm`.
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
    a validation loss that nobody has measured yet is inf, and may stay so.
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
