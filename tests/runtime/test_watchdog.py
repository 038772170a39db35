"""A hang ends with all stacks in the log and exit code 75."""

import subprocess
import sys
import threading
import types

from babyvlm_jax.runtime import watchdog
from babyvlm_jax.runtime.watchdog import Watchdog

HANG = """
import sys, threading, time
from babyvlm_jax.runtime.watchdog import Watchdog

def waits_for_a_host_that_is_gone(first):
    first()
    time.sleep(600)

waits = threading.Event()
other = threading.Thread(
    target=waits_for_a_host_that_is_gone, args=(waits.set,), daemon=True
)
other.start()
waits.wait()
waits_for_a_host_that_is_gone(lambda: Watchdog(0.1, sys.argv[1]))
"""


def test_a_hang_is_told_and_ended(tmp_path):
    log = tmp_path / "hang.log"
    ended = subprocess.run(
        [sys.executable, "-c", HANG, str(log)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 75, ended.stderr
    for told in (ended.stderr, log.read_text()):
        assert "no step within 0.1 s (config.watchdog_s)" in told
        assert told.count("in waits_for_a_host_that_is_gone") == 2


def test_a_step_puts_the_end_off(tmp_path, monkeypatch, capfd):
    now, waits = [0.0], []
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    idle = types.SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(watchdog.threading, "Thread", lambda **_: idle)
    monkeypatch.setattr(watchdog.os, "_exit", lambda code: waits.append(f"exit {code}"))
    dog = Watchdog(10.0, tmp_path / "hang.log")

    def wait(left):
        waits.append(left)
        if len(waits) == 1:
            now[0] = 4.0
            dog.step()
        now[0] = 10.0 if len(waits) == 1 else 14.0

    monkeypatch.setattr(dog, "_closed", types.SimpleNamespace(wait=wait))
    dog._watch()
    assert waits == [10.0, 4.0, "exit 75"]
    assert "all stacks" in capfd.readouterr().err


def test_a_closed_watchdog_and_one_of_zero_seconds_do_nothing(tmp_path):
    before = set(threading.enumerate())
    never = Watchdog(0, tmp_path / "hang.log")
    never.step()
    assert set(threading.enumerate()) == before
    closed = Watchdog(1e6, tmp_path / "hang.log")
    (thread,) = set(threading.enumerate()) - before
    closed.close()
    thread.join()
    assert list(tmp_path.iterdir()) == []
