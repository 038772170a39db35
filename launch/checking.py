"""Checks a job's config here, before anything is created or waits in a queue.

The config and its overrides are parsed as the command itself would, every section
becomes its dataclass, and each phase is laid out over the mesh of the slices, as
shapes. No device, no dataset and no bucket is asked: what lies there is not checked.
"""

import json
from collections.abc import Mapping
from typing import Any

from babyvlm_jax import sharding
from babyvlm_jax.evals.config import KINDS, EvalConfig
from babyvlm_jax.runtime.command import make_flags, parse
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.training import preflight, settings
from babyvlm_jax.training.objectives import make_objective
from launch.jobs import Job, Run

SETTINGS = {
    "train": settings.TrainSettings,
    "features": settings.TrainSettings,
    "recipe": settings.RecipeSettings,
    "evaluate": EvalConfig,
}


def check(job: Job) -> list[str]:
    """Checks a job.

    Returns:
        Lines that say what was checked; none for a command that no config drives.

    Raises:
        UserError: what the command would say itself, on the slices.
    """
    run = job.run
    if run is None or run.module not in SETTINGS:
        return []
    needs = ["config"] if run.module == "features" else ["config", "workdir"]
    words = [word for word in run.command if not word.startswith("--debug")]
    flags = make_flags("workdir" in needs, settings=SETTINGS[run.module])
    config = parse(words[2:], flags, needs)
    values = json.loads(config.to_json())
    if run.module == "evaluate":
        from_dict(EvalConfig, without_remote_paths(config.to_dict()))
        return [f"checked: {run.config}"]
    return [_check_phase(job, phase) for phase in phases(run, values)]


def phases(run: Run, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resolved configs of the phases that a run would train."""
    if run.module != "recipe":
        return [dict(values)]
    unknown = sorted(set(values["order"]) - set(values["phases"]))
    if unknown:
        known = sorted(values["phases"])
        raise UserError(f"config.order names {unknown}; config.phases has {known}")
    return [settings.place(values, name, run.workdir) for name in values["order"]]


def _check_phase(job: Job, values: Mapping[str, Any]) -> str:
    phase = settings.from_config(values)
    machines, gpus = job.gpus
    if job.where:
        place = job.where.num_chips, "tpu", job.where.count
    elif gpus:
        place = machines * gpus, "gpu", 1
    else:
        return f"checked: {phase.name}, not its mesh: the devices are not known here"
    mesh = sharding.make_abstract_mesh(phase.mesh, *place)
    preflight.check_run(make_objective(phase), mesh)
    shape = ", ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    name = job.where.name if job.where else f"{machines} x {gpus} GPUs"
    return f"checked: {phase.name} on {name}, mesh {shape}"


def without_remote_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with a folder that is here instead of each that is in a bucket."""
    here = dict(values)
    for name in (*KINDS, "tokenizer"):
        if "://" in here[name]:
            here[name] = "."
    if "://" in here["shards"]:
        here["shards"] = "."
    return here
