"""What a run does when its loss stays without a finite value; see `step.skipping`."""

import json

import jax
import numpy as np
from etils import epath

from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.training.checkpoint import Checkpoints
from babyvlm_jax.training.settings import TrainSettings
from babyvlm_jax.training.state import TrainState
from babyvlm_jax.training.step import MAX_IN_A_ROW, is_hopeless

REPORT = "nonfinite.json"


def in_a_row(state: TrainState) -> int:
    """Steps skipped since the last good one; waits for the step that made the state."""
    return int(np.asarray(state.skips)[1])


def has_failed(state: TrainState) -> bool:
    """Whether too many steps in a row were skipped, or all so far.

    Waits for the step that made the state.
    """
    skipped = in_a_row(state)
    return is_hopeless(skipped) or 0 < skipped == int(state.step)


def after_nonfinite(
    run: TrainSettings, workdir, state: TrainState, checkpoints: Checkpoints, source
) -> TrainState:
    """Writes down which records the skipped steps saw; then goes back, or gives up.

    Args:
        state: stands still, see `step.skipping`.
        source: rows or frames by step.

    Returns:
        The newest checkpoint's state, saved as that of the step reached: the steps
        between are skipped.

    Raises:
        UserError: `run.on_nonfinite` is to stop, or going back would change nothing.
    """
    reached = int(state.step)
    bad = range(max(0, reached - MAX_IN_A_ROW), reached)
    path = epath.Path(workdir) / REPORT
    processes.on_first(lambda: _report(path, bad, source))
    last = checkpoints.newest()
    text = (
        f"no finite loss, gradient or update in steps {bad[0] + 1} to {reached}; "
        f"parameters are as before them; {path} lists the records"
    )
    if run.on_nonfinite == "stop" or last is None or last >= bad[0]:
        raise UserError(
            f"{text}; look at these; set config.on_nonfinite=rollback to go on from an "
            "earlier checkpoint without them, or begin another --workdir with a lower "
            "config.optim.lr_peak"
        )
    processes.say(f"{text}; going back to step {last} and on from {reached}")
    before = checkpoints.restore_latest(state, source.facts)
    skips = np.array([int(np.asarray(state.skips)[0]) + bad[0] - last, 0], np.int32)
    state = before.replace(
        step=jax.device_put(np.int32(reached), before.step.sharding),
        skips=jax.device_put(skips, before.skips.sharding),
    )
    checkpoints.save(reached, state, source.facts, wait=True)
    return state


def _report(path, steps, source):
    records = {str(step + 1): source.ids_at(step) for step in steps}
    write_atomically(path, json.dumps(records, indent=1).encode())
