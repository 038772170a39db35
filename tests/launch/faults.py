"""Kills runs at random and checks that they end as if nothing had happened.

    python -m tests.launch.faults --runs=40

A run is 2 processes of 4 CPU devices each. At a random time one of them, drawn too,
gets SIGKILL or SIGTERM; then the run is started again, until it is done. Its last
checkpoint must equal that of a run which nobody disturbed: parameters and optimizer,
bit for bit; and its log must have every step, once. Prints a table, and exits with 1
unless all are equal.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from typing import NamedTuple

from tests.launch.group import Group, alone

PROCESSES, DEVICES = 2, 4
NUM_STEPS, SAVE_EVERY = 40, 6
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


class Outcome(NamedTuple):
    """One disturbed run.

    Attributes:
        number: of the run.
        signal: its name.
        place: of the process that got it.
        step: last step in the log then, None before the first.
        codes: exit codes of both processes, of each start.
        starts: steps at which the starts after the first began.
        equal: whether the last checkpoint is the undisturbed run's, and no step is
            missing from the log.
    """

    number: int
    signal: str
    place: int
    step: int | None
    codes: list[list[int]]
    starts: list[int]
    equal: bool

    def __str__(self):
        codes = " ".join("/".join(map(str, both)) for both in self.codes)
        starts = " ".join(map(str, self.starts))
        step = "start-up" if self.step is None else self.step
        return (
            f"| {self.number} | {self.signal} | {self.place} | {step} | {codes} | "
            f"{starts} | {'yes' if self.equal else 'NO'} |"
        )


HEAD = (
    "| run | signal | process | after step | exit codes of each start | "
    "went on from | equal |\n|---|---|---|---|---|---|---|"
)


def prepare(folder: pathlib.Path) -> None:
    """Sets the environment of all runs; before JAX is imported."""
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(DEVICES),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true",
    }


class Bench:
    """The tiny world and what can be done in it; all in forked processes."""

    def __init__(self, folder: pathlib.Path):
        from babyvlm_jax import train
        from babyvlm_jax.runtime.errors import run_main
        from tests import tiny_run

        self.folder = folder
        alone(lambda: tiny_run.make_world(folder), folder / "out.log")
        world = tiny_run.World(folder / "shards", folder / "tokenizer.model")
        config = tiny_run.config(world, num_steps=NUM_STEPS, save_every=SAVE_EVERY)
        config.keep = 2
        self._run = lambda workdir: run_main(lambda: train.main(config, str(workdir)))

    def start(self, workdir: pathlib.Path) -> Group:
        """Both processes, on their way."""
        workdir.mkdir(exist_ok=True)
        return Group(PROCESSES, lambda: self._run(workdir), workdir / "out.log")

    def disturbed(self, number: int, rng: random.Random, expected: str) -> Outcome:
        """One run with a kill, and what came of it."""
        name, place = rng.choice(SIGNALS), rng.randrange(PROCESSES)
        reached = False
        while not reached:  # a run that ended before its time is no test
            workdir = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
            # one in five before the first step, the others anywhere up to the end
            at_step = None if rng.random() < 0.2 else rng.randrange(NUM_STEPS - 1)
            pause = rng.uniform(0, 2.0 if at_step is None else 0.2)
            group = self.start(workdir)
            while group.poll() and at_step is not None and last_step(workdir) < at_step:
                time.sleep(0.02)
            time.sleep(pause)
            seen = last_step(workdir)
            reached = group.kill(place, name)
            codes, starts = [group.wait()], []
        while any(codes[-1]):
            starts.append(newest(workdir))
            codes.append(self.start(workdir).wait())
            if len(codes) > 10:
                raise RuntimeError(f"{workdir} does not end; see its out.log")
        return Outcome(
            number,
            name.name,
            place,
            seen if seen >= 0 else None,
            codes,
            starts,
            self.digest(workdir) == expected and is_logged(workdir),
        )

    def digest(self, workdir: pathlib.Path) -> str:
        """Of all arrays in the last checkpoint; by a process of its own."""
        out = workdir / "digest"
        alone(lambda: out.write_text(digest(workdir)), workdir / "out.log")
        return out.read_text()


def last_step(workdir: pathlib.Path) -> int:
    """The last step in the log, -1 if there is none."""
    try:
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        return json.loads(lines[-1])["step"]
    except (OSError, IndexError, ValueError):
        return -1


def is_logged(workdir: pathlib.Path) -> bool:
    """Whether the log has a line for every step, once and in order."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines] == [*range(1, NUM_STEPS + 1)]


def newest(workdir: pathlib.Path) -> int:
    """The step that the next start goes on from."""
    from babyvlm_jax.training.checkpoint.reading import whole_steps

    return max(whole_steps(workdir / "checkpoints")[0], default=0)


def digest(workdir: pathlib.Path, step: int = NUM_STEPS) -> str:
    """Hash of every array of a checkpoint, with its name."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    path = workdir.resolve() / "checkpoints" / str(step)
    whole = hashlib.sha256()
    numpy = ocp.RestoreArgs(restore_type=np.ndarray)
    for item in ("params", "train"):
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            there = reader.metadata(path / item).item_metadata.tree
            wanted = jax.tree.map(lambda _: numpy, there)
            args = ocp.args.PyTreeRestore(restore_args=wanted)
            found = reader.restore(path / item, args)
        for name, leaf in jax.tree_util.tree_flatten_with_path(found)[0]:
            whole.update(jax.tree_util.keystr(name).encode())
            whole.update(np.asarray(leaf).tobytes())
    return whole.hexdigest()


def run(runs: int, seed: int, folder: pathlib.Path) -> list[Outcome]:
    """The undisturbed run, then the disturbed ones, printed as they end."""
    bench = Bench(folder)
    calm = folder / "calm"
    if any(codes := bench.start(calm).wait()):
        raise RuntimeError(
            f"the undisturbed run ended with {codes}; see {calm}/out.log"
        )
    expected = bench.digest(calm)
    print(HEAD, flush=True)
    outcomes = []
    for number in range(runs):
        rng = random.Random(1000 * seed + number)
        outcomes.append(bench.disturbed(number, rng, expected))
        print(outcomes[-1], flush=True)
    print(f"equal: {sum(one.equal for one in outcomes)} of {runs}")
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # A TemporaryDirectory would be removed by the first forked process that ends.
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        prepare(folder)
        outcomes = run(args.runs, args.seed, folder)
    finally:
        shutil.rmtree(folder)
    sys.exit(0 if all(one.equal for one in outcomes) else 1)


if __name__ == "__main__":
    main()
