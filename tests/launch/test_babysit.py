"""What the babysitter does about each exit code."""

import os
import pathlib
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BABYSIT = ROOT / "launch" / "babysit.sh"
COUNT = "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; "


def babysit(folder, lines, *options, **changes):
    """Babysits lines of bash, which find in $n how often they ran before."""
    words = [BABYSIT, "--pause=0", *options, "--", "bash", "-c", COUNT + lines]
    told = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=60, **changes
    )
    count = folder / "n"
    return told.returncode, int(count.read_text()) if count.exists() else 0, told.stderr


@pytest.mark.parametrize(
    ("lines", "code", "starts"),
    [
        ("exit 0", 0, 1),
        ("((n == 2)) && exit 0; exit 75", 0, 3),
        ("exit 78", 78, 1),
        ("exit 3", 3, 1),
        ("((n == 2)) && exit 0; kill -9 $$", 0, 3),
        ("kill -9 $$", 137, 3),
        ("exit 134", 134, 3),
        ("exit 255", 255, 3),
        ("exit 200", 200, 1),
    ],
)
def test_the_exit_code_decides(tmp_path, lines, code, starts):
    assert babysit(tmp_path, lines, "--crashes=2")[:2] == (code, starts)


LOST = "echo asked >> asked; [[ -e there ]] && exit 0; touch there; exit 75"


def test_a_machine_that_was_lost_is_no_fault_of_the_command(tmp_path):
    lines = "((n == 1)) && exit 0; rm there; exit 255"
    assert babysit(tmp_path, lines, f"--ensure={LOST}")[:2] == (0, 2)
    assert (tmp_path / "asked").read_text().count("asked") == 2


def test_on_a_machine_that_is_there_a_fault_is_the_commands(tmp_path):
    assert babysit(tmp_path, "exit 1", f"--ensure={LOST}")[:2] == (1, 1)
    assert (tmp_path / "asked").read_text().count("asked") == 2


def test_one_that_saved_needs_no_question(tmp_path):
    lines = "((n == 1)) && exit 0; exit 75"
    assert babysit(tmp_path, lines, f"--ensure={LOST}")[:2] == (0, 2)
    assert (tmp_path / "asked").read_text().count("asked") == 1


def test_without_a_machine_nothing_is_started(tmp_path):
    code, starts, told = babysit(tmp_path, "exit 0", "--ensure=exit 78")
    assert (code, starts) == (78, 0)
    assert "no machine: --ensure ended with 78" in told


def test_pauses_double_while_starts_end_early(tmp_path):
    slept = tmp_path / "sleep"
    slept.write_text("#!/bin/sh\nexit 0\n")
    slept.chmod(0o755)
    lines = "((n == 9)) && exit 0; exit 75"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    _, _, told = babysit(tmp_path, lines, "--pause=10", env=env)
    pauses = [line.split()[3] for line in told.splitlines() if "again in" in line]
    assert pauses == ["10", "20", "40", "80", "160", "320", "600", "600", "600"]


def test_a_start_that_lasted_is_followed_at_once(tmp_path):
    lines = "((n == 2)) && exit 0; exit 75"
    told = babysit(tmp_path, lines, "--short=0", "--pause=600")[2]
    assert "again in" not in told


def test_a_signal_is_handed_on_and_ends_it(tmp_path):
    lines = 'trap "sleep 0.2; exit 75" TERM; echo up; while :; do sleep 0.05; done'
    with subprocess.Popen(
        [BABYSIT, "--", "bash", "-c", lines],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as sitter:
        assert sitter.stdout.readline() == "up\n"
        sitter.send_signal(signal.SIGTERM)
        assert sitter.wait(timeout=60) == 75
        assert sitter.stdout.read() == ""


def test_a_dry_run_prints_both_commands(tmp_path):
    code, starts, _ = babysit(tmp_path, "exit 0", "--ensure=echo x", "--dry-run")
    assert (code, starts) == (0, 0)
