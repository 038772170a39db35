"""Two processes of four CPU devices train as one, and as one process of eight does."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests import tiny_run
from tests.launch import faults

pytestmark = pytest.mark.multiprocess

ROOT = pathlib.Path(__file__).parents[2]
NUM_STEPS = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tiny_run.make_world(tmp_path_factory.mktemp("world"))


def start(count, module, config, workdir):
    """A group of processes with eight devices together; no config of its own twice."""
    resolved = workdir.with_suffix(".json")
    resolved.write_text(config.to_json())
    return subprocess.Popen(
        [
            *(ROOT / "launch" / "local.sh", str(count), "--"),
            *(sys.executable, "-m", f"babyvlm_jax.{module}"),
            *(f"--config=configs/resolved.py:{resolved}", f"--workdir={workdir}"),
        ],
        env={**os.environ, "DEVICES": str(8 // count), "GRACE_S": "20"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(count, module, config, workdir):
    """(exit code, what was printed)."""
    group = start(count, module, config, workdir)
    out, _ = group.communicate(timeout=600)
    return group.returncode, out


def losses(workdir):
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["train/loss"], line["train/count"]) for line in lines]


def config(world, **changes):
    return tiny_run.config(world, **{"num_steps": NUM_STEPS, **changes})


@pytest.fixture(scope="module")
def two(world, tmp_path_factory):
    """Work directory of two processes that nobody disturbed."""
    workdir = tmp_path_factory.mktemp("two") / "run"
    code, out = run(2, "train", config(world), workdir)
    assert code == 0, out
    return workdir


def test_two_processes_have_the_losses_of_one(world, two, tmp_path):
    code, out = run(1, "train", config(world), tmp_path / "one")
    assert code == 0, out
    alone = losses(tmp_path / "one")
    assert len(alone) == NUM_STEPS
    for ours, theirs in zip(losses(two), alone, strict=True):
        assert (ours[0], ours[2]) == (theirs[0], theirs[2])
        # gloo adds in another order than one process does
        np.testing.assert_allclose(ours[1], theirs[1], rtol=2e-5)


def test_sigterm_to_one_process_stops_both_after_saving(world, two, tmp_path):
    workdir = tmp_path / "run"
    group = start(2, "train", config(world, save_every=100), workdir)
    while faults.last_step(workdir) < 3 and group.poll() is None:
        time.sleep(0.01)
    children = f"/proc/{group.pid}/task/{group.pid}/children"
    pids = [int(pid) for pid in pathlib.Path(children).read_text().split()]
    trains = [pid for pid in pids if b"train" in command_of(pid)]
    os.kill(trains[1], signal.SIGTERM)
    out, _ = group.communicate(timeout=600)
    assert group.returncode == 75, out
    assert out.count("stopped: tiny at step ") == 2
    assert not (workdir / "done.json").exists()
    code, out = run(2, "train", config(world, save_every=100), workdir)
    assert code == 0, out
    assert json.loads((workdir / "done.json").read_text())["start_step"] > 3
    assert losses(workdir) == losses(two)
    assert digest(workdir) == digest(two)


def command_of(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


def digest(workdir):
    return faults.digest(workdir, NUM_STEPS)


def test_one_process_goes_on_where_two_were(world, two, tmp_path):
    workdir = tmp_path / "run"
    group = start(2, "train", config(world, save_every=100), workdir)
    while faults.last_step(workdir) < 3 and group.poll() is None:
        time.sleep(0.01)
    group.send_signal(signal.SIGTERM)
    out, _ = group.communicate(timeout=600)
    assert group.returncode == 75, out
    mesh = {"data": 2, "fsdp": 4, "tensor": 1}
    code, out = run(1, "train", config(world, save_every=100, mesh=mesh), workdir)
    assert code == 0, out
    ours, theirs = (np.array(losses(folder)) for folder in (workdir, two))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)  # another order of sums


def test_a_recipe_of_two_processes_skips_what_is_done_together(world, tmp_path):
    phases = {}
    for name in ("first", "second"):
        phases[name] = config(world, name=name, num_steps=2).to_dict()
    phases["second"]["warm_start"] = {"decoder": "{workdir}/first"}
    recipe = tiny_run.ml_collections.ConfigDict({"seed": 1, "order": tuple(phases)})
    recipe.phases = phases
    workdir = tmp_path / "recipe"
    for _ in "12":
        code, out = run(2, "recipe", recipe, workdir)
        assert code == 0, out
    assert out.count("already finished") == 2
    for name in phases:
        assert losses(workdir / name)[-1][0] == 2


def test_an_error_of_all_is_told_once_each_and_nothing_is_left(world, tmp_path):
    wrong = config(world)
    wrong.data.shards = "/nowhere"
    code, out = run(2, "train", wrong, tmp_path / "run")
    assert code == 78
    assert "/nowhere" in out
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
