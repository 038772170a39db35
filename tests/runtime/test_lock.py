"""A folder is one run's, until that run's process ends."""

import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
HOLD = """
import sys, time
from babyvlm_jax.runtime import lock
with lock.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_in_use_is_refused_and_says_by_whom(tmp_path):
    folder = tmp_path / "new" / "run"
    with lock.held(folder):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()} on "):
            lock.take(folder)
        with lock.held(tmp_path / "other"):
            pass
    with lock.held(folder):
        pass


def test_a_killed_process_holds_no_lock(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"process {process.pid} on "):
            lock.take(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock.held(tmp_path):
        pass


@pytest.mark.parametrize("answer", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_gets_a_marker(tmp_path, monkeypatch, answer):
    def flock(file, how):
        raise OSError(getattr(errno, answer), answer)

    monkeypatch.setattr(fcntl, "flock", flock)
    with lock.held(tmp_path):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()} on "):
            lock.take(tmp_path)
        marker = (tmp_path / "lock.pid").read_text()
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    killed = marker.replace(str(os.getpid()), ended.stdout.decode().strip(), 1)
    (tmp_path / "lock.pid").write_text(killed)
    os.utime(tmp_path / "lock.pid", (0, 0))
    with lock.held(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be locked"):
        lock.take(tmp_path / "file")


def test_a_bucket_has_no_lock():
    assert lock.take("gs://bucket/run") is None


def test_a_command_is_run_under_the_lock_of_a_folder(tmp_path):
    command = [sys.executable, "-m", "babyvlm_jax.runtime.lock", str(tmp_path)]
    sleeper = [*command, "sh", "-c", "echo started; exec sleep 600"]
    with subprocess.Popen(sleeper, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"started\n"
        second = subprocess.run([*command, "true"], capture_output=True, text=True)
        first.kill()
    assert second.returncode == 78
    assert f"{tmp_path} is in use by process {first.pid} on " in second.stderr
    with lock.held(tmp_path):  # runs have another lock
        assert subprocess.run([*command, "sh", "-c", "exit 3"]).returncode == 3


def test_make_demo_takes_the_lock_of_its_folder():
    told = subprocess.run(
        ["make", "-n", "demo", "DEMO=some/where"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    line = (
        " -m babyvlm_jax.runtime.lock some/where make --no-print-directory demo-locked"
    )
    assert line in told.stdout
