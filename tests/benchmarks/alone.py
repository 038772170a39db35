"""One side of a run measured alone: is the loader or the step the bottleneck?

    python -m tests.benchmarks.alone --what=loader \\
        --config=configs/nursery.py:phase=joint,root=runs/demo
    python -m tests.benchmarks.alone --what=step \\
        --config=configs/nursery.py:phase=joint,root=runs/demo

The loader makes batches and nothing uses them; the step runs on one made-up batch and
nothing is read. --config.data.only=true and --config.data.synthetic=true, which once
were flags of `train`, choose the same. Prints one line, writes nothing.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from babyvlm_jax import sharding, train
from babyvlm_jax.data.config import Batch
from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import preflight, settings
from babyvlm_jax.training.objectives import make_objective

WHAT = ("", "loader or step.")
SECONDS = 20.0  # ours: longer runs do not change the answer


class Rate(NamedTuple):
    """What passed in how many seconds."""

    seconds: float
    batches: int
    rows: int
    supervised: int
    images: int

    def __str__(self) -> str:
        def each(count):
            return f"{count / max(self.seconds, 1e-9):,.1f}"

        return (
            f"{each(self.batches)} batches/s, {each(self.rows)} rows/s, "
            f"{each(self.supervised)} supervised tokens/s, {each(self.images)} "
            f"images/s ({self.batches} batches in {self.seconds:.1f} s)"
        )


def measure(
    batches: Iterable[Batch],
    use: Callable[[Batch], object],
    num_steps: int,
    seconds: float = SECONDS,
) -> Rate:
    """Uses batches one after the other, for a while.

    Args:
        batches: the loader, or one batch again and again.
        use: what to do with each; returns when it is done.
        num_steps: most batches that are timed.
        seconds: time after which to stop.

    Returns:
        The rate, without the first batch: it waits for plans and compilers.
    """
    batches = iter(batches)
    for first in itertools.islice(batches, 1):
        use(first)
    sums = np.zeros(4, np.int64)
    begin = time.perf_counter()
    for batch in itertools.islice(batches, num_steps):
        use(batch)
        sums += _content(batch)
        if time.perf_counter() - begin > seconds:
            break
    return Rate(time.perf_counter() - begin, *sums.tolist())


def _content(batch: Batch):
    """(1, rows, supervised tokens, images)."""
    if "loss_mask" not in batch:
        return 1, len(batch["images"]), 0, len(batch["images"])
    return (
        1,
        len(batch["tokens"]),
        np.count_nonzero(batch["loss_mask"]),
        np.count_nonzero(batch["image_mask"]),
    )


def measure_loader(objective) -> Rate:
    """What this process's loader gives when nobody makes it wait."""
    run = objective.run
    made = (batch for _, batch in train.batches_from(run, objective.data(), 0))
    return measure(made, lambda batch: None, run.num_steps)


def measure_step(objective, mesh) -> Rate:
    """What the devices do when they never wait: made-up rows, fresh weights."""
    run = objective.run
    batch = objective.synthetic(run.data.batch_size // jax.process_count())
    with jax.set_mesh(mesh):
        state, step_fn = train.make_state_and_step(objective, mesh)
        placed = sharding.put_batch(mesh, batch)

        def step(_):
            nonlocal state
            state, values = step_fn(state, placed)
            jax.block_until_ready(values)

        return measure(itertools.repeat(batch), step, run.num_steps)


def main(config, what: str = "") -> None:
    """Measures what `what` or the config's section `data` names."""
    run = settings.from_config(json.loads(config.to_json()))
    what = what or (run.data.only and "loader") or (run.data.synthetic and "step")
    if what not in ("loader", "step"):
        raise UserError(f"--what={what}: expected loader or step")
    objective = make_objective(run)
    if what == "loader":
        print(f"the loader alone: {measure_loader(objective)}")
        return
    processes.start()
    mesh = sharding.make_mesh(run.mesh)
    preflight.check_run(objective, mesh)
    print(f"the step alone: {measure_step(objective, mesh)}")


if __name__ == "__main__":
    run_config_command(
        __doc__, main, settings.TrainSettings, workdir=False, extra={"what": WHAT}
    )
