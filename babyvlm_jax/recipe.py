"""Trains all phases of a recipe in order, each from the ones before it.

    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo
    python -m babyvlm_jax.recipe --config=configs/nursery.py --workdir=runs/demo \\
        --config.seed=1 --config.phases.joint.num_steps=500

Finished phases are skipped, so running it again resumes; one that was trained under
another config is an error. Each phase runs as its own
`train` process in WORKDIR/PHASE and leaves the accelerator clean behind it.
"""

import json
import signal
import subprocess
import sys

from etils import epath

from babyvlm_jax import settings
from babyvlm_jax.command import run_config_command
from babyvlm_jax.errors import EXIT_DONE, EXIT_PREEMPTED


def main(config, workdir: str) -> None:
    recipe = json.loads(config.to_json())
    workdir = epath.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    for name in recipe["order"]:
        phase = place(recipe, name, workdir)
        if (workdir / name / "done.json").exists():
            settings.claim_workdir(workdir / name, phase)
            print(f"{name}: already finished in {workdir / name}")
            continue
        code = run_phase(name, phase, workdir)
        if code != EXIT_DONE:
            raise SystemExit(code)


def place(recipe, name: str, workdir) -> dict:
    """The phase's config with the recipe's seed and real paths put in.

    `{workdir}` in a string stands for the recipe's work directory.
    """
    phase = {**recipe["phases"][name], "seed": recipe["seed"]}
    phase["data"] = {**phase["data"], "seed": recipe["seed"]}
    real = json.dumps(str(workdir))[1:-1]
    return json.loads(json.dumps(phase).replace("{workdir}", real))


def run_phase(name: str, phase: dict, workdir) -> int:
    """Runs `train` on the resolved phase and hands its exit code on."""
    resolved = workdir / f"{name}.config.json"
    resolved.write_text(json.dumps(phase, indent=2, sort_keys=True))
    command = [
        sys.executable,
        "-m",
        "babyvlm_jax.train",
        f"--config={epath.Path(__file__).parent.parent}/configs/resolved.py:{resolved}",
        f"--workdir={workdir / name}",
    ]
    process = subprocess.Popen(command)
    stopped = []

    def forward(number, frame):
        del frame
        stopped.append(number)
        process.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    code = process.wait()
    return EXIT_PREEMPTED if stopped and code < 0 else code


if __name__ == "__main__":
    run_config_command(__doc__, main)
