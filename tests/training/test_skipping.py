"""Bad steps change nothing, are counted, and after five in a row all stands still."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.training.recovery import has_failed, in_a_row
from babyvlm_jax.training.state import TrainState
from babyvlm_jax.training.step import is_hopeless, skipping


def add(state, batch):
    """A step that adds the batch to everything that is not frozen."""
    frozen = state.params["frozen"]
    after = state.replace(
        step=state.step + 1,
        params={"w": state.params["w"] + batch["update"], "frozen": frozen},
        opt_state={"m": state.opt_state["m"] + batch["moment"]},
        extra={**state.extra, "center": state.extra["center"] + batch["center"]},
    )
    return after, {"loss": batch["loss"], "grad_norm": batch["gradient"]}


STEP = jax.jit(skipping(add))


def fresh():
    zero = jnp.zeros(())
    none = jnp.zeros(2, jnp.int32)
    extra = {"center": zero, "best_loss": jnp.float32(np.inf)}
    params = {"w": zero, "frozen": zero}
    return TrainState(jnp.int32(0), params, {"m": zero}, extra, none)


def batch(**changes):
    ones = dict.fromkeys(("loss", "gradient", "update", "moment", "center"), 1.0)
    return {key: jnp.float32(value) for key, value in {**ones, **changes}.items()}


def run(batches):
    state = fresh()
    for one in batches:
        state, metrics = STEP(state, one)
    return state, metrics


def values(state):
    kept = state.params["w"], state.opt_state["m"], state.extra["center"]
    return [float(value) for value in kept]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["loss", "gradient", "update", "moment", "center"])
def test_a_bad_step_changes_nothing_but_the_counts(what, value):
    state, metrics = run([batch(), batch(**{what: value})])
    assert values(state) == [1.0, 1.0, 1.0]
    assert int(state.step) == 2
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (1, 1)
    state, metrics = STEP(state, batch())
    assert values(state) == [2.0, 2.0, 2.0]
    assert state.skips.tolist() == [1, 0]


def test_after_five_in_a_row_the_state_stands_still():
    bad = batch(loss=np.nan)
    state, _ = run([batch(), *[bad] * 4])
    assert in_a_row(state) == 4
    state, _ = run([batch(), *[bad] * 4, batch(), *[bad] * 5, batch(), batch()])
    assert is_hopeless(in_a_row(state))
    assert int(state.step) == 11
    assert state.skips.tolist() == [9, 5]
    assert values(state) == [2.0, 2.0, 2.0]


def test_a_run_whose_steps_were_all_skipped_has_learned_nothing():
    bad = batch(update=np.nan)
    assert not has_failed(fresh())
    assert has_failed(run([bad, bad])[0])
    assert not has_failed(run([batch(), bad])[0])


def test_a_good_step_is_the_one_without_a_guard():
    one = batch(loss=0.1, update=0.3)
    plain, _ = jax.jit(add)(fresh(), one)
    guarded, _ = STEP(fresh(), one)
    assert values(guarded) == values(plain)
