"""Trains all phases of a recipe in order, each from the ones before it.

    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo
    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo \\
        --config.seed=1 --config.phases.joint.num_steps=500

Before the first step every phase is checked: its settings, datasets and tokenizer, and
what it starts from. Finished phases are skipped, so running it again resumes; one that
was trained under another config is an error. Phases are trained in WORKDIR/PHASE: on
one host without accelerators in one process, else each in its own `train` process,
which leaves the devices clean behind it.

Under `launch/local.sh`, or with BABYVLM_DISTRIBUTED=1 on each host of a slice, the
processes of a phase are one run, and they decide together whether it is finished.
"""

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
from importlib import metadata

from etils import epath

from babyvlm_jax.runtime import lock, processes
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import EXIT_DONE
from babyvlm_jax.training import phases, settings


def main(config, workdir: str) -> None:
    recipe = json.loads(config.to_json())
    workdir = epath.Path(workdir)
    alone, child = not processes.are_several(), processes.Child()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(recipe))
        file.flush()
        together = alone and has_no_accelerator()
        mode = [] if together else ["--check"]
        run(child, "training.phases", file.name, str(workdir), *mode)
    if together:
        return
    workdir.mkdir(parents=True, exist_ok=True)
    # Of several, each phase's first process takes that phase's lock.
    with lock.held(workdir) if alone else contextlib.nullcontext():
        for flags in phases.to_train(recipe, workdir, alone):
            run(child, "train", *flags)


def has_no_accelerator() -> bool:
    """Whether JAX can find nothing but this host's CPUs; False where that is unsure."""
    if platforms := os.environ.get("JAX_PLATFORMS"):
        return platforms == "cpu"
    modules = map(importlib.util.find_spec, ("libtpu", "jax_plugins"))
    return not any([*modules, *metadata.entry_points(group="jax_plugins")])


def run(child: processes.Child, module: str, *arguments: str) -> None:
    """Runs a module of the package, and ends as it does unless that is well."""
    code = child.run([sys.executable, "-m", f"babyvlm_jax.{module}", *arguments])
    if code != EXIT_DONE:
        raise SystemExit(code)


if __name__ == "__main__":
    run_config_command(__doc__, main, settings.RecipeSettings)
