"""The fault test's promise, whole; and its parts that need no processes."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests.launch import faults

ROOT = pathlib.Path(__file__).parents[2]


def test_an_outcome_is_a_row_of_the_table():
    one = faults.Outcome(7, "SIGKILL", 1, None, [[-6, -9], [0, 0]], [0], True)
    assert str(one) == "| 7 | SIGKILL | 1 | start-up | -6/-9 0/0 | 0 | yes |"
    assert str(one).count("|") == faults.HEAD.splitlines()[0].count("|")


def test_the_last_step_is_that_of_the_last_whole_line(tmp_path):
    assert faults.last_step(tmp_path) == -1
    (tmp_path / "metrics.jsonl").write_text('{"step": 3}\n{"step": 4}\n')
    assert faults.last_step(tmp_path) == 4


@pytest.mark.slow
@pytest.mark.multiprocess
def test_forty_of_forty_killed_runs_end_as_the_undisturbed_one():
    ended = subprocess.run(
        [sys.executable, "-m", "tests.launch.faults", "--runs=40"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = re.findall(r"^\| \d+ \| SIG.* yes \|$", ended.stdout, re.MULTILINE)
    assert len(rows) == 40
    assert "equal: 40 of 40" in ended.stdout


@pytest.mark.slow
@pytest.mark.multiprocess
def test_unequal_processes_are_refused_and_a_stuck_one_can_be_ended():
    ended = subprocess.run(
        [sys.executable, "-m", "tests.launch.unequal"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "refused: 10 of 10" in ended.stdout
