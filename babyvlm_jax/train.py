"""Trains one phase.

    python -m babyvlm_jax.train --workdir=runs/demo/joint \\
        --config=configs/nursery.py:phase=joint,root=runs/demo \\
        --config.num_steps=500

    ... --config.data.only=true         # time the loader alone, train nothing
    ... --config.data.synthetic=true    # time the step alone, read nothing
    ... --verify                        # read all records before the first step

    launch/local.sh 2 -- python -m babyvlm_jax.train ...     # two processes
    BABYVLM_DISTRIBUTED=1 python -m babyvlm_jax.train ...     # on each host of a slice

Start it again with the same flags and it goes on from its newest checkpoint; the
result is the same, bit for bit. Exit codes: 0 finished, 75 stopped before the end (run
it again), 78 something in the config or the input is wrong.
"""

import contextlib
import itertools
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from etils import epath

from babyvlm_jax import sharding
from babyvlm_jax.data import features, pipeline
from babyvlm_jax.data.identity import check_facts
from babyvlm_jax.models.fingerprint import fingerprint
from babyvlm_jax.runtime import metrics, processes, throughput
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import Preempted, UserError
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.runtime.pace import Pace
from babyvlm_jax.runtime.watchdog import Watchdog
from babyvlm_jax.training import (
    checkpoint,
    guard,
    optim,
    preflight,
    recovery,
    settings,
)
from babyvlm_jax.training.objectives import make_objective
from babyvlm_jax.training.objectives.base import BaseObjective
from babyvlm_jax.training.state import make_state
from babyvlm_jax.training.validation import Validator


class Job(NamedTuple):
    """What a run needs beside its state.

    Attributes:
        source: rows, frames or pairs by step.
        validator: of a phase with validations, else None.
    """

    objective: BaseObjective
    workdir: epath.Path
    mesh: jax.sharding.Mesh
    step_fn: Callable
    checkpoints: checkpoint.Checkpoints
    source: Any
    stop: processes.StopSignal
    validator: Validator | None


VERIFY = (False, "Read all records and compare their hashes before the first step.")


def main(config, workdir: str, verify: bool = False) -> None:
    values = json.loads(config.to_json())
    if not values.get("data", {}).get("only"):
        processes.start()
    run = processes.together(lambda: settings.from_config(values))
    objective = make_objective(run)
    if run.data.only:
        print(f"the loader alone: {measure_loader(objective)}")
        return
    check_processes(run, workdir)
    mesh = sharding.make_mesh(run.mesh)
    preflight.check_run(objective, mesh)
    if run.data.synthetic:
        print(f"the step alone: {measure_step(objective, mesh)}")
        return

    workdir = epath.Path(workdir)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(contextlib.closing(processes.StopSignal()))
        stack.enter_context(processes.locked(workdir))
        stack.enter_context(jax.set_mesh(mesh))
        is_done, is_in_place = processes.on_first(lambda: look_at(workdir, values))
        if is_done and is_in_place:
            return
        objective.check_words()
        source = processes.together(objective.data)
        if verify:
            processes.together(source.facts.verify)
        processes.check_same("data", facts_of(run, source))
        if is_done:
            check_moved(workdir, source)
            return
        with checkpoint.Checkpoints(workdir, run.keep, run.keep_every) as checkpoints:
            ready = make_ready(objective, mesh, checkpoints, source)
            state, step_fn, validator = ready
            processes.on_first(lambda: settings.write_config(workdir, values))
            places = workdir, mesh, step_fn, checkpoints, source, stop, validator
            train(Job(objective, *places), state)


def make_ready(objective: BaseObjective, mesh, checkpoints, source):
    """State, step and validator of a new run, or of one that resumes."""
    newest, begins_from = checkpoints.newest(), objective.run.warm_start
    if newest is None:
        preflight.check_warm_start(objective, source.facts["tokenizer"])
    else:  # what it began from may be gone
        begins_from = {}
    state, step_fn = make_state_and_step(objective, mesh, begins_from)
    validator = None
    if objective.run.validation.every:
        validator = processes.together(lambda: Validator(objective, mesh, state))
        source.facts["validation"] = validator.records
    if newest is not None:
        state = checkpoints.restore(newest, state, source.facts)
    check_features(objective, source, state.params)
    return state, step_fn, validator


def check_processes(run: settings.TrainSettings, workdir) -> None:
    """Whether all processes of the run were started alike; alone, one is.

    Before anything that they do together: with another number of steps they would
    wait for each other for ever, with another rate learn what no config says.

    Raises:
        UserError: on every process; names the first difference.
    """
    if jax.process_count() == 1:
        return
    full = settings.resolved(run)
    kept = {key: full[key] for key in full if key not in settings.OWN}
    kept |= {"--workdir": str(workdir), **processes.versions()}
    processes.check_same("settings", kept)


def look_at(workdir: epath.Path, values) -> tuple[bool, bool]:
    """(whether the run is done, whether all that it reads lies where it lay)."""
    is_in_place = settings.check_workdir(workdir, values)
    is_done = (workdir / "done.json").exists()
    if is_done and is_in_place:
        print(f"{values['name']}: already finished in {workdir}")
    return is_done, is_in_place


def check_moved(workdir: epath.Path, source) -> None:
    """Whether a finished run was trained on the data that now lie elsewhere.

    Raises:
        UserError: it was trained on other data.
    """
    step = checkpoint.newest_step(workdir, items=("data",))
    saved = checkpoint.read_facts(workdir, step)
    check_facts(saved, source.facts, f"{workdir}, which is finished,")
    processes.say(f"already finished in {workdir}, on the same data")


def facts_of(run: settings.TrainSettings, source) -> dict[str, Any]:
    """What a run's data are, for processes that read it from disks of their own."""
    return {**source.facts, **(source.features.facts if run.data.features else {})}


def check_features(objective: BaseObjective, source, params) -> None:
    """Features must be those that this run's encoder would give, and go on giving.

    Raises:
        UserError: the encoder trains, or the features were made otherwise.
    """
    run = objective.run
    if not run.data.features:
        return
    if "vision" in objective.trained_parts():
        raise UserError(
            f"config.optim.trains {run.optim.trains} trains the vision encoder, whose "
            "features would then change; set config.data.features=''"
        )
    here = {**run.feature_facts, "encoder": fingerprint(params["vision"])}
    features.check(run.data.features, source.features.facts, here)


def batches_from(run: settings.TrainSettings, source, start_step: int):
    """(step, this process's slice of the batch), made ahead."""
    place = jax.process_index(), jax.process_count()
    return pipeline.prefetched(source, run.data, start_step, *place)


def measure_loader(objective: BaseObjective) -> throughput.Rate:
    """What this process's loader gives when nobody makes it wait."""
    run = objective.run
    made = (batch for _, batch in batches_from(run, objective.data(), 0))
    return throughput.measure(made, lambda batch: None, run.num_steps)


def measure_step(objective: BaseObjective, mesh) -> throughput.Rate:
    """What the devices do when they never wait: made-up rows, fresh weights."""
    run = objective.run
    batch = objective.synthetic(run.data.batch_size // jax.process_count())
    with jax.set_mesh(mesh):
        state, step_fn = make_state_and_step(objective, mesh)
        placed = sharding.put_batch(mesh, batch)

        def step(_):
            nonlocal state
            state, values = step_fn(state, placed)
            jax.block_until_ready(values)

        return throughput.measure(itertools.repeat(batch), step, run.num_steps)


def make_state_and_step(objective: BaseObjective, mesh, begins_from=None):
    """The phase's state at its beginning, laid out on the mesh, and its jitted step.

    Args:
        begins_from: as `config.warm_start`; None begins from nothing.
    """
    run = objective.run
    init_key, step_key = jax.random.split(jax.random.key(run.seed))
    params = begin(objective, mesh, init_key, begins_from or {})
    made, extra = jax.jit(objective.made)(params)
    trains, specs = run.optim.trains, objective.specs
    state = make_state(params | made, extra, objective.tx, trains, mesh, specs)
    step = objective.step(step_key)
    # The state keeps its layout, or the second step would compile again.
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    return state, jax.jit(step, donate_argnums=0, out_shardings=(shardings, None))


def begin(objective: BaseObjective, mesh, key, begins_from):
    """Parameters from earlier phases where the config names one, else drawn."""
    model, parts = objective.model, objective.parts
    abstract = checkpoint.abstract_params(model, mesh, parts)
    params = checkpoint.warm_start(abstract, begins_from)
    drawn = tuple(part for part in parts if part not in params)
    if drawn:
        shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
        init = jax.jit(
            lambda key: model.init(key, drawn),
            out_shardings={part: shardings[part] for part in drawn},
        )
        params |= init(key)
    return params


def train(job: Job, state) -> None:
    """Runs the remaining steps, saving on the way and at the end."""
    run, start, began = job.objective.run, int(state.step), time.perf_counter()
    state = make_steps(job, state)
    while guard.is_hopeless(guard.in_a_row(state)) or guard.never_learned(state):
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


def is_over(job: Job, state) -> bool:
    """Has validation ended the run?"""
    return job.validator is not None and job.validator.is_over(state)


def make_steps(job: Job, state):
    """Steps until the last, the stop signal, or too many without a finite loss.

    Validations come before the checkpoint of their step, which so holds their account.
    """
    run, start = job.objective.run, int(state.step)
    if is_over(job, state):
        return state
    with contextlib.ExitStack() as stack:

        def closed_at_the_end(thing):
            return stack.enter_context(contextlib.closing(thing))

        log = processes.log_file(job.workdir, "hang")
        watchdog = closed_at_the_end(Watchdog(run.watchdog_s, log))
        trace = closed_at_the_end(metrics.Trace(job.workdir, run.trace_steps))
        writer = stack.enter_context(
            metrics.Writer(job.workdir, run.name, run.num_steps, start)
        )
        pace = Pace(
            lambda: job.objective.flops().model, writer.productive_s, writer.elapsed_s
        )
        for step, batch in pace.timed(batches_from(run, job.source, start)):
            if step >= run.num_steps or job.stop.reached(step):
                break
            with trace.step(step):
                placed = sharding.put_batch(job.mesh, batch)
                state, values = job.step_fn(state, placed)
            trace.after(step, values)
            pace.step(batch)
            watchdog.step()
            writer.tick()
            done = step + 1
            held_out = {}
            if job.validator and job.validator.is_due(done):
                with pace.waiting("validation"), job.stop.patient():
                    state, loss = job.validator(state, watchdog.step)
                held_out = {"val/loss": loss}
            if done % run.log_every == 0 or done == run.num_steps or held_out:
                rate = optim.learning_rate(run.optim, run.num_steps, step)
                told = values | {"learning_rate": rate} | pace.row()
                told = {f"train/{k}": v for k, v in told.items()}
                late = writer.push(done, told | held_out)
                if guard.is_hopeless(late.get("train/skipped_in_a_row", 0)):
                    break
            if held_out and is_over(job, state):
                break
            if done % run.save_every == 0 and done < run.num_steps:
                with pace.waiting("checkpoint"), job.stop.patient():
                    # what is saved amid bad steps would be no place to go back to
                    if guard.in_a_row(state) == 0:
                        writer.flush()  # whoever resumes here does not redo these steps
                        job.checkpoints.save(done, state, job.source.facts)
    return state


if __name__ == "__main__":
    run_config_command(__doc__, main, settings.TrainSettings, extra={"verify": VERIFY})
