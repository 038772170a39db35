"""A pod rehearsed: the nursery's recipe as two processes, one killed, started again.

The same commands as on a slice: babysit.sh, a launcher, `python -m babyvlm_jax.recipe`.
"""

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
ORDER = ("language", "vision")
STEPS = {"language": 4, "vision": 12}


def command(workdir):
    """The nursery's recipe, its first two phases, a few steps of each."""
    words = [sys.executable, "-m", "babyvlm_jax.recipe", f"--workdir={workdir}"]
    words += ["--config=configs/nursery.py:smoke", f"--config.order={ORDER!r}"]
    for phase, steps in STEPS.items():
        changes = {"num_steps": steps, "save_every": 4, "log_every": 1}
        words += [f"--config.phases.{phase}.{k}={v}" for k, v in changes.items()]
    return words


def losses(workdir, phase):
    lines = (workdir / phase / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line["train/loss"] for line in map(json.loads, lines)}


def training(phase):
    """Processes that train this phase, by place."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            variables = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"babyvlm_jax.train" in words and f"--workdir={phase}".encode() in words:
            place = dict(one.partition(b"=")[::2] for one in variables)
            found[int(place[b"JAX_PROCESS_ID"])] = int(path.name)
    return found


@pytest.fixture
def workdirs(tmp_path):
    """Two folders with the same data."""
    for name in ("two", "one"):
        tiny_run.make_world(tmp_path / name)
    return tmp_path / "two", tmp_path / "one"


def test_a_killed_process_is_made_good_and_the_curve_is_that_of_one(workdirs):
    two, one = workdirs
    environment = {**os.environ, "DEVICES": "4", "GRACE_S": "20"}
    local = [ROOT / "launch" / "local.sh", "2", "--", *command(two)]
    log = two.with_suffix(".log")
    with log.open("w") as file:
        sitter = subprocess.Popen(
            [ROOT / "launch" / "babysit.sh", "--pause=0", "--", *local],
            env=environment,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    while faults.last_step(two / "vision") < 6:
        assert sitter.poll() is None, log.read_text()
        time.sleep(0.02)
    os.kill(training(two / "vision")[1], signal.SIGKILL)
    code = sitter.wait(timeout=1200)
    out = log.read_text()
    assert code == 0, out
    assert out.count("babysit: it ended with ") == 1, out
    assert "language: already finished" in out
    done = json.loads((two / "vision" / "done.json").read_text())
    assert done["start_step"] in (4, 8)

    told = subprocess.run(
        command(one),
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert told.returncode == 0, told.stderr
    for phase, steps in STEPS.items():
        ours, theirs = losses(two, phase), losses(one, phase)
        assert list(ours) == list(theirs) == list(range(1, steps + 1))
        # the processes add in another order than the devices of one do
        np.testing.assert_allclose(
            list(ours.values()), list(theirs.values()), rtol=1e-5
        )
