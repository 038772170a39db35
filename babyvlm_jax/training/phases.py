"""The phases of a recipe: checked all together, and trained one after the other.

    python -m babyvlm_jax.training.phases RECIPE.json WORKDIR --check
    python -m babyvlm_jax.training.phases RECIPE.json WORKDIR    # checks and trains

`babyvlm_jax.recipe` starts this, so that it need not import JAX itself. In one process
phases share what is imported and compiled; they are as if each had its own, for `train`
begins from its settings and files alone.
"""

import functools
import json
import pathlib
import runpy
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging
from etils import epath, epy

from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.command import CONFIGS
from babyvlm_jax.runtime.errors import EXIT_DONE, EXIT_PREEMPTED, UserError, run_main
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.training import settings
from babyvlm_jax.training.objectives import make_objective

with epy.lazy_imports():  # `recipe` only asks what is left to do
    from babyvlm_jax.data import features, schema
    from babyvlm_jax.runtime import processes
    from babyvlm_jax.training import optim, preflight
    from babyvlm_jax.training.checkpoint import reading


def to_train(
    recipe: Mapping[str, Any], workdir: epath.Path, alone: bool
) -> Iterator[list[str]]:
    """Flags of `train` for each phase that is left, in order.

    Args:
        recipe: resolved.
        alone: whether one process trains; of several, `train` has them decide together
            which phases are finished.

    Yields:
        when the ones before are trained; what the flags name is written by then.
    """
    for name in recipe["order"]:
        phase = settings.place(recipe, name, workdir)
        done = alone and (workdir / name / "done.json").exists()
        # if data were moved, `train` compares their content
        if done and settings.check_workdir(workdir / name, phase):
            print(f"{name}: already finished in {workdir / name}")
            continue
        file = workdir / f"{name}.config.json"
        write_atomically(file, json.dumps(phase, indent=2, sort_keys=True).encode())
        config = f"--config={CONFIGS / 'resolved.py'}:{file}"
        yield [config, f"--workdir={workdir / name}"]


def check_phases(recipe: dict[str, Any], workdir: epath.Path) -> None:
    """Whether all phases can run, one after the other; no device is asked.

    Raises:
        UserError: lists the faults of all phases.
    """
    faults: dict[str, list[str]] = {}  # what is wrong -> phases
    shapes: dict[str, Mapping[str, Any] | None] = {}  # what the phases before train
    unknown = set(recipe["order"]) - set(recipe["phases"])
    if unknown:
        raise UserError(
            f"config.order names {sorted(unknown)}; config.phases has "
            f"{sorted(recipe['phases'])}"
        )
    for name in recipe["order"]:
        try:
            run = settings.from_config(settings.place(recipe, name, workdir))
        except UserError as error:
            faults.setdefault(str(error), []).append(name)
            shapes[name] = None
            continue
        objective = make_objective(run)
        shapes[name] = preflight.abstract_shapes(objective)
        if not (workdir / name / "done.json").exists():
            for fault in faults_of(objective, name, shapes, workdir):
                faults.setdefault(fault, []).append(name)
    if faults:
        told = [f"{', '.join(names)}: {fault}" for fault, names in faults.items()]
        raise UserError("\n  ".join(["the recipe cannot be trained", *told]))


def faults_of(objective, name: str, shapes, workdir) -> Iterator[str]:
    """What is wrong with a phase whose settings are right; see `check_start`."""
    run = objective.run
    data, trains = run.data, run.optim.trains
    checks = [
        functools.partial(
            optim.check_patterns, "config.optim.trains", trains, shapes[name]
        ),
        objective.check_words,
        *(
            functools.partial(schema.RecordSource, data.shards, *one)
            for one in reads(run)
        ),
        *(
            functools.partial(check_start, part, source, workdir, shapes, name)
            for part, source in run.warm_start.items()
        ),
    ]
    if data.features:
        checks.append(functools.partial(features.FeatureStore, data.features))
    for check in checks:
        try:
            check()
        except UserError as error:
            yield str(error)


def reads(run: settings.TrainSettings) -> list[tuple[str, str]]:
    """(dataset, split) of all that a phase reads."""
    if run.data.synthetic:
        return []
    pairs = [(name, run.data.split) for name in run.data.datasets]
    if run.validation.every:
        held_out = run.validation.datasets or run.data.datasets
        pairs += [(name, run.validation.split) for name in held_out]
    return pairs


def check_start(part: str, source: str, workdir, shapes, name: str) -> None:
    """Whether a phase can take a part of its model from an earlier one, or a folder.

    Args:
        shapes: phase -> path -> shape of its parameters, of those before this one too;
            None where the phase itself is wrong.

    Raises:
        UserError: it comes later, trains no such part, or one of another shape.
    """
    whole = epath.Path(source)
    if whole.parent == workdir and whole.name in shapes:  # it may not be there yet
        folder, prefix = source, part
    else:
        folder, prefix = settings.split_source(part, source)
    where = f"config.warm_start.{part}: {source}"
    before = epath.Path(folder).name
    if epath.Path(folder).parent != workdir or before not in shapes:
        if not reading.whole_steps(epath.Path(folder) / reading.FOLDER)[0]:
            raise UserError(
                f"{where} has no checkpoint, and no phase before makes it; "
                f"those are {[one for one in shapes if one != name]}"
            )
        return
    there, here = shapes[before], shapes[name]
    if there is None:
        return
    wanted = {path: s for path, s in here.items() if path.startswith(f"{part}/")}
    for path, shape in wanted.items():
        found = there.get(prefix + path.removeprefix(part))
        if found != shape:
            raise UserError(
                f"{where}: {prefix + path.removeprefix(part)} has shape {found}, here "
                f"it has {shape}; give both phases the same config.model"
            )
    if not wanted:
        raise UserError(f"{where}: config.parts of this phase has no {part!r}")


def train_all(recipe: Mapping[str, Any], workdir: epath.Path) -> None:
    """Trains what is left, in this process.

    Raises:
        SystemExit: a phase ended with another code than 0, or was asked to stop.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with lock.held(workdir):
        for flags in to_train(recipe, workdir, alone=True):
            code = run_train(flags)
            for number in processes.STOP_SIGNALS:  # until the next phase listens
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
            if code == EXIT_DONE and processes.StopSignal.was_asked:
                code = EXIT_PREEMPTED  # the phase had made its last step by then
            if code != EXIT_DONE:
                raise SystemExit(code)


def run_train(flags: Sequence[str]) -> int:
    """Runs `train` as a command; its exit code."""
    sys.argv = ["train", *flags]
    try:
        runpy.run_module("babyvlm_jax.train", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code
    return EXIT_DONE


def main(argv: Sequence[str]) -> None:
    """RECIPE.json WORKDIR [--check]."""
    logging.set_verbosity(logging.ERROR)  # Orbax tells each of its steps
    recipe, workdir = (
        json.loads(pathlib.Path(argv[0]).read_bytes()),
        epath.Path(argv[1]),
    )
    check_phases(recipe, workdir)
    if "--check" not in argv[2:]:
        train_all(recipe, workdir)


if __name__ == "__main__":
    run_main(lambda: main(sys.argv[1:]))
