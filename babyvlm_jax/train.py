"""Trains one phase.

    python -m babyvlm_jax.train --workdir=runs/demo/joint \\
        --config=configs/nursery.py:phase=joint,root=runs/demo \\
        --config.num_steps=500

    ... --verify                        # read all records before the first step

    launch/local.sh 2 -- python -m babyvlm_jax.train ...     # two processes
    BABYVLM_DISTRIBUTED=1 python -m babyvlm_jax.train ...     # on each host of a slice

Start it again with the same flags and it resumes from its newest checkpoint; the result
is the same, bit for bit. Exit codes: 0 finished, 75 stopped before the end (run it
again), 78 something in the config or the input is wrong.
"""

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from etils import epath, epy

from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import Preempted, UserError
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.training import settings
from babyvlm_jax.training.objectives import make_objective

with epy.lazy_imports():  # --help needs none of these, and they take seconds
    import jax

    from babyvlm_jax import sharding
    from babyvlm_jax.data import pipeline
    from babyvlm_jax.runtime import processes, telemetry
    from babyvlm_jax.training import (
        checkpoint,
        optim,
        preflight,
        recovery,
        validation,
    )
    from babyvlm_jax.training import state as states

VERIFY = (False, "Read all records and compare their hashes before the first step.")


class Job(NamedTuple):
    """What the loop needs beside the state.

    Attributes:
        objective: what the phase learns; see `training.objectives`.
        source: rows, frames or pairs by step.
        step_fn: the jitted step.
        validator: of a run with validations, else None.
    """

    objective: Any
    workdir: epath.Path
    mesh: Any
    stop: Any
    source: Any
    checkpoints: Any
    step_fn: Callable
    validator: Any

    @property
    def run(self) -> settings.TrainSettings:
        """Settings."""
        return self.objective.run


def main(config, workdir: str, verify: bool = False) -> None:
    """The acts of a run; every process of it does all of them."""
    # config
    values = json.loads(config.to_json())
    processes.start()
    run = processes.together(lambda: settings.from_config(values))
    preflight.refuse_benchmarks(run)
    workdir = epath.Path(workdir)

    # mesh, objective, checks
    preflight.check_processes(run, workdir)
    mesh = sharding.make_mesh(run.mesh)
    objective = make_objective(run)
    preflight.check_run(objective, mesh)

    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(contextlib.closing(processes.StopSignal()))
        stack.enter_context(processes.locked(workdir))
        stack.enter_context(jax.set_mesh(mesh))
        is_done, is_in_place = processes.on_first(lambda: look_at(workdir, values))
        if is_done and is_in_place:
            return

        # data
        objective.check_words()
        source = processes.together(objective.data)
        if verify:
            processes.together(source.facts.verify)
        preflight.check_same_data(run, source)
        if is_done:
            preflight.check_moved(workdir, source)
            return

        # state
        checkpoints = stack.enter_context(
            checkpoint.Checkpoints(workdir, run.keep, run.keep_every)
        )
        state, step_fn, validator = make_ready(objective, mesh, source, checkpoints)
        processes.on_first(lambda: settings.write_config(workdir, values))

        # loop and end
        things = workdir, mesh, stop, source, checkpoints, step_fn, validator
        train(Job(objective, *things), state)


def look_at(workdir: epath.Path, values) -> tuple[bool, bool]:
    """(whether the run is done, whether all that it reads is where it was)."""
    is_in_place = settings.check_workdir(workdir, values)
    is_done = (workdir / "done.json").exists()
    if is_done and is_in_place:
        print(f"{values['name']}: already finished in {workdir}")
    return is_done, is_in_place


def make_ready(objective, mesh, source, checkpoints):
    """State, step and validator of a new run, or of one that resumes."""
    newest, begins_from = checkpoints.newest(), objective.run.warm_start
    if newest is None:
        preflight.check_warm_start(objective, source.facts["tokenizer"])
    else:  # what it began from may be gone
        begins_from = {}
    state, step_fn = make_state_and_step(objective, mesh, begins_from)
    validator = None
    if objective.run.validation.every:
        validator = processes.together(
            lambda: validation.Validator(objective, mesh, state)
        )
        source.facts["validation"] = validator.records
    if newest is not None:
        state = checkpoints.restore(newest, state, source.facts)
    preflight.check_features(objective, source, state.params)
    return state, step_fn, validator


def make_state_and_step(objective, mesh, begins_from=None):
    """The phase's state at its beginning, laid out on the mesh, and its jitted step.

    Args:
        begins_from: as `config.warm_start`; None begins from nothing.
    """
    run = objective.run
    init_key, step_key = jax.random.split(jax.random.key(run.seed))
    model = objective.model
    params = checkpoint.begin(model, mesh, objective.parts, init_key, begins_from or {})
    made, extra = jax.jit(objective.made)(params)
    trains, specs = run.optim.trains, objective.specs
    state = states.make_state(params | made, extra, objective.tx, trains, mesh, specs)
    step = objective.step(step_key)
    # The state keeps its layout, or the second step would compile again.
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    return state, jax.jit(step, donate_argnums=0, out_shardings=(shardings, None))


def train(job: Job, state) -> None:
    """Runs the remaining steps, saving on the way and at the end."""
    run, start, began = job.run, int(state.step), time.perf_counter()
    state = make_steps(job, state)
    while recovery.has_failed(state):
        state = recovery.after_nonfinite(
            run, job.workdir, state, job.checkpoints, job.source
        )
        state = make_steps(job, state)
    done, facts = int(state.step), {}
    finished = done >= run.num_steps or is_over(job, state)
    if finished and job.validator:
        state, facts = job.validator.with_best(state), job.validator.facts(state)
    with job.stop.patient():
        job.checkpoints.save(done, state, job.source.facts, wait=True)
    if not finished and not job.stop.is_set:
        raise UserError(
            f"the data ended after step {done} of config.num_steps {run.num_steps}; "
            f"set config.data.repeats {run.data.repeats} to more epochs, or to None"
        )
    if not finished:
        raise Preempted(f"{run.name} at step {done} of {run.num_steps}, saved")
    if processes.is_first():
        seconds = round(time.perf_counter() - began, 1)
        facts = {"step": done, "seconds": seconds, "start_step": start, **facts}
        write_atomically(job.workdir / "done.json", json.dumps(facts).encode())


def make_steps(job: Job, state):
    """Steps until the last, the stop signal, or too many without a finite loss.

    Validations come before the checkpoint of their step, which so holds their account.
    """
    run, start = job.run, int(state.step)
    if is_over(job, state):
        return state
    batches = batches_from(run, job.source, start)
    with telemetry.RunLog(job.workdir, run, start, job.objective.flops) as log:
        for step, batch in log.timed(batches):
            if step >= run.num_steps or job.stop.reached(step):
                break
            with log.traced(step):
                placed = sharding.put_batch(job.mesh, batch)
                state, values = job.step_fn(state, placed)
            log.made(step, batch, values)
            done, held_out = step + 1, {}
            if job.validator and job.validator.is_due(done):
                with log.waiting("validation"), job.stop.patient():
                    state, loss = job.validator(state, log.alive)
                held_out = {"val/loss": loss}
            if log.is_due(done) or held_out:
                rate = optim.learning_rate(run.optim, run.num_steps, step)
                late = log.push(done, values | {"learning_rate": rate}, held_out)
                if recovery.is_hopeless(late.get("train/skipped_in_a_row", 0)):
                    break
            if held_out and is_over(job, state):
                break
            if done % run.save_every == 0 and done < run.num_steps:
                with log.waiting("checkpoint"), job.stop.patient():
                    # what is saved amid bad steps would be no place to go back to
                    if recovery.in_a_row(state) == 0:
                        log.flush()  # whoever resumes here does not redo these steps
                        job.checkpoints.save(done, state, job.source.facts)
    return state


def batches_from(run: settings.TrainSettings, source, start_step: int):
    """(step, this process's slice of the batch), made ahead."""
    place = jax.process_index(), jax.process_count()
    return pipeline.prefetched(source, run.data, start_step, *place)


def is_over(job: Job, state) -> bool:
    """Has validation ended the run?"""
    return job.validator is not None and job.validator.is_over(state)


if __name__ == "__main__":
    run_config_command(__doc__, main, settings.TrainSettings, extra={"verify": VERIFY})
