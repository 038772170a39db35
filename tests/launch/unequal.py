"""Starts runs of two processes that differ in one thing, and one whose other is stuck.

    python -m tests.launch.unequal

Each start must be refused with code 78, before a step is made. Prints a table, and
exits with 1 unless all are. The last row is a run of equal processes of which one is
stopped: SIGTERM must end the other.
"""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

from tests.launch.faults import last_step, prepare
from tests.launch.group import Group, alone

# name -> (key, value) that process 1 has; no key: what else differs
DIFFERENCES = {
    "rate": ("optim.lr_peak", 0.5),
    "clip": ("optim.clip_norm", 0.01),
    "length": ("num_steps", 5),
    "data": ("data.fraction", 0.5),
    "seed": ("seed", 1),
    "saves": ("save_every", 4),
    "model": ("model.decoder.mlp_dim", 48),
    "a value that is refused": ("num_steps", 0),
    "records": ("data.shards", "other"),
    "code": ("", ""),
}
GRACE_S = 3


def changed(config, key, value, folder):
    """The config with another value at a.b.c; `other` are the other records."""
    section = config
    *sections, name = key.split(".")
    for one in sections:
        section = section[one]
    with section.unlocked():
        section[name] = str(folder / "other" / "shards") if value == "other" else value
    return config


def train_as(folder, workdir, name):
    """What each process does; process 1 is the other one."""
    from babyvlm_jax import train
    from babyvlm_jax.runtime import processes
    from babyvlm_jax.runtime.errors import run_main
    from tests import tiny_run

    world = tiny_run.World(folder / "shards", folder / "tokenizer.model")
    config = tiny_run.config(world, num_steps=12 if name else 10**6)
    if not name:
        config.save_every = config.num_steps  # a save may last longer than a step
    if name and os.environ["JAX_PROCESS_ID"] == "1":
        key, value = DIFFERENCES[name]
        if key:
            config = changed(config, key, value, folder)
        else:
            processes.versions = lambda: {"code of babyvlm_jax": "another"}
    processes.GRACE_S = GRACE_S
    run_main(lambda: train.main(config, str(workdir)))


def make_worlds(folder):
    """The tiny world, and one that has other records under the same names."""
    from tests import tiny_run

    tiny_run.make_world(folder)
    tiny_run.WORDS = tiny_run.WORDS[::-1]
    tiny_run.make_world(folder / "other")


def refused(folder, name) -> tuple[list[int], float, str]:
    """Exit codes of one start, its seconds, and its message."""
    workdir = folder / f"run-{name}"
    workdir.mkdir()
    log = workdir / "out.log"
    began = time.monotonic()
    codes = Group(2, lambda: train_as(folder, workdir, name), log).wait()
    lines = log.read_text().splitlines()
    told = next((line for line in lines if line.startswith("error: ")), "")
    return codes, time.monotonic() - began, told


def stuck(folder) -> tuple[list[int], float, str]:
    """As `refused`, for equal processes of which one stops in the middle of the run."""
    workdir = folder / "stuck"
    workdir.mkdir()
    log = workdir / "out.log"
    group = Group(2, lambda: train_as(folder, workdir, ""), log)
    while group.poll() and last_step(workdir) < 3:
        time.sleep(0.05)
    group.kill(1, signal.SIGSTOP)
    time.sleep(1)
    began = time.monotonic()
    group.kill(0, signal.SIGTERM)
    while group.poll() and 0 not in group.codes:
        time.sleep(0.05)
    seconds = time.monotonic() - began
    group.kill(1, signal.SIGKILL)
    codes = group.wait()
    lines = log.read_text().splitlines()
    return codes, seconds, next((x for x in lines if "asked to stop" in x), "")


def main() -> None:
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        prepare(folder)
        alone(lambda: make_worlds(folder), folder / "out.log")
        print("| difference | exit codes | seconds | told |\n|---|---|---|---|")
        good = 0
        for name in DIFFERENCES:
            codes, seconds, told = refused(folder, name)
            # the slower one may be ended by the group before it says the same
            good += 78 in codes and set(codes) <= {78, -signal.SIGTERM}
            print(f"| {name} | {codes} | {seconds:.0f} | {told} |", flush=True)
        print(f"refused: {good} of {len(DIFFERENCES)}", flush=True)
        codes, seconds, told = stuck(folder)
        print(f"| stuck | {codes} | {seconds:.0f} | {told} |", flush=True)
    finally:
        shutil.rmtree(folder)
    sys.exit(0 if good == len(DIFFERENCES) and codes[0] == 75 else 1)


if __name__ == "__main__":
    main()
