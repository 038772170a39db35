"""Trains all phases of a recipe in order, each from the ones before it.

    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo
    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo \\
        --config.seed=1 --config.phases.joint.num_steps=500

Before the first step every phase is checked: its settings, datasets and tokenizer, and
what it starts from. Finished phases are skipped, so running it again resumes; one that
was trained under another config is an error. Each phase runs as its own
`train` process in WORKDIR/PHASE and leaves the accelerator clean behind it.

Under `launch/local.sh`, or with BABYVLM_DISTRIBUTED=1 on each host of a slice, the
processes of a phase are one run, and they decide together whether it is finished.
"""

import contextlib
import functools
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from babyvlm_jax.data import features
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime import lock, processes
from babyvlm_jax.runtime.command import CONFIGS, run_config_command
from babyvlm_jax.runtime.errors import EXIT_DONE, UserError
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.training import preflight, settings
from babyvlm_jax.training.checkpoint.reading import FOLDER, whole_steps
from babyvlm_jax.training.objectives import make_objective
from babyvlm_jax.training.optim import check_patterns


def main(config, workdir: str) -> None:
    recipe = json.loads(config.to_json())
    workdir = epath.Path(workdir)
    check_phases(recipe, workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    alone = not processes.are_several()
    child = processes.Child()
    # Of several, each phase's first process takes that phase's lock.
    with lock.held(workdir) if alone else contextlib.nullcontext():
        for name in recipe["order"]:
            phase = settings.place(recipe, name, workdir)
            done = alone and (workdir / name / "done.json").exists()
            # of what lies elsewhere now, `train` compares what it holds
            if done and settings.check_workdir(workdir / name, phase):
                print(f"{name}: already finished in {workdir / name}")
                continue
            code = run_phase(name, phase, workdir, child)
            if code != EXIT_DONE:
                raise SystemExit(code)


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
        functools.partial(check_patterns, "config.optim.trains", trains, shapes[name]),
        objective.check_words,
        *(functools.partial(RecordSource, data.shards, *one) for one in reads(run)),
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
        if not whole_steps(epath.Path(folder) / FOLDER)[0]:
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


def run_phase(name: str, phase: dict, workdir, child: processes.Child) -> int:
    """Runs `train` on the resolved phase and hands its exit code on."""
    resolved = workdir / f"{name}.config.json"
    write_atomically(resolved, json.dumps(phase, indent=2, sort_keys=True).encode())
    return child.run(
        [
            sys.executable,
            "-m",
            "babyvlm_jax.train",
            f"--config={CONFIGS / 'resolved.py'}:{resolved}",
            f"--workdir={workdir / name}",
        ]
    )


if __name__ == "__main__":
    run_config_command(__doc__, main, settings.RecipeSettings)
