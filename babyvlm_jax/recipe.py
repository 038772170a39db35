"""Trains all phases of a recipe in order, each from the ones before it.

    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo
    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo \\
        --config.seed=1 --config.phases.joint.num_steps=500

Finished phases are skipped, so running it again resumes; one that was trained under
another config is an error. Each phase runs as its own
`train` process in WORKDIR/PHASE and leaves the accelerator clean behind it.

Under `launch/local.sh`, or with BABYVLM_DISTRIBUTED=1 on each host of a slice, the
processes of a phase are one run, and they decide together whether it is finished.
"""

import contextlib
import json
import sys

from etils import epath

from babyvlm_jax import lock, processes, settings
from babyvlm_jax.command import run_config_command
from babyvlm_jax.data.files import write_atomically
from babyvlm_jax.errors import EXIT_DONE


def main(config, workdir: str) -> None:
    recipe = json.loads(config.to_json())
    workdir = epath.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    alone = not processes.are_several()
    child = processes.Child()
    # Of several, each phase's first process takes that phase's lock.
    with lock.held(workdir) if alone else contextlib.nullcontext():
        for name in recipe["order"]:
            phase = settings.place(recipe, name, workdir)
            if alone and (workdir / name / "done.json").exists():
                settings.claim_workdir(workdir / name, phase)
                print(f"{name}: already finished in {workdir / name}")
                continue
            code = run_phase(name, phase, workdir, child)
            if code != EXIT_DONE:
                raise SystemExit(code)


def run_phase(name: str, phase: dict, workdir, child: processes.Child) -> int:
    """Runs `train` on the resolved phase and hands its exit code on."""
    resolved = workdir / f"{name}.config.json"
    write_atomically(resolved, json.dumps(phase, indent=2, sort_keys=True).encode())
    return child.run(
        [
            sys.executable,
            "-m",
            "babyvlm_jax.train",
            f"--config={epath.Path(__file__).parent.parent}/configs/resolved.py:{resolved}",
            f"--workdir={workdir / name}",
        ]
    )


if __name__ == "__main__":
    run_config_command(__doc__, main, settings.RecipeSettings)
