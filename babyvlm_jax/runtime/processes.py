"""Several processes that act as one: how they start, decide together, and stop.

A process is one of several when its environment says so: JAX_COORDINATOR_ADDRESS,
JAX_NUM_PROCESSES and JAX_PROCESS_ID name its place (`launch/local.sh` sets them), or
BABYVLM_DISTRIBUTED=1 lets JAX find it out, on Cloud TPU and under Slurm.
"""

import contextlib
import ctypes
import functools
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np
from etils import epy

from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import EXIT_PREEMPTED, UserError

with epy.lazy_imports():  # `recipe` starts processes and needs no devices
    import jax
    from jax.experimental import multihost_utils

STOP_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
PLACE = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
DETECT = "BABYVLM_DISTRIBUTED"

# ours: how long a process that is gone keeps the others waiting
TIMEOUTS = {"heartbeat_timeout_seconds": 100, "shutdown_timeout_seconds": 60}
GRACE_S = 60  # ours: a step takes seconds
PATIENCE_S = 900  # ours: a save gives up after ten minutes
_ROOM = 4096  # bytes that a process tells the others at once, if they suffice


def are_several() -> bool:
    """Does the environment make this process one of several?"""
    return PLACE[1] in os.environ or os.environ.get(DETECT) == "1"


def start() -> None:
    """Joins the other processes, if the environment names any.

    Must come before anything that asks for devices.

    Raises:
        UserError: the environment names a part of the place only.
    """
    given = [name for name in PLACE if name in os.environ]
    if given and PLACE[1] in given:
        if len(given) < len(PLACE):
            raise UserError(
                f"of {PLACE} only {given} are set; set all of them, or none, or use "
                "launch/local.sh"
            )
        jax.distributed.initialize(
            os.environ[PLACE[0]],
            int(os.environ[PLACE[1]]),
            int(os.environ[PLACE[2]]),
            cluster_detection_method="deactivate",
            **TIMEOUTS,
        )
    elif are_several():
        jax.distributed.initialize(**TIMEOUTS)
    else:
        return
    _take_sigterm_back()


def _take_sigterm_back() -> None:
    """Has SIGTERM end this process again, and keeps how JAX is told of one.

    JAX's preemption service notes the signal and does nothing else, so that a process
    which waits for others that are gone, or never asks the service, would not end.
    """
    global _note_of_jax
    change = ctypes.CDLL(None).signal
    change.restype, change.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    before = change(signal.SIGTERM, signal.SIG_DFL)
    if before not in (None, int(signal.SIG_DFL), int(signal.SIG_IGN)):
        _note_of_jax = ctypes.CFUNCTYPE(None, ctypes.c_int)(before)


def _note_of_jax(number: int) -> None:
    """JAX's handler of SIGTERM, once `start` has found it."""


def is_first() -> bool:
    """Is this the process that writes and decides for all?"""
    return jax.process_index() == 0


def log_file(folder, name: str) -> str:
    """This process's file for messages; in the folder if that is on a disk."""
    folder = "." if "://" in str(folder) else folder
    return f"{folder}/{name}.{jax.process_index()}.log"


def say(text: str) -> None:
    """Prints a line to stderr, once for all processes."""
    if is_first():
        print(text, file=sys.stderr, flush=True)


def on_first(action: Callable[[], Any]) -> Any:
    """What process 0 gets from `action`, on every process; the others do nothing.

    Args:
        action: returns something that JSON can hold.

    Raises:
        UserError: process 0 raised it; all do.
    """
    return on_all(action if is_first() else lambda: None)[0]


def on_all(action: Callable[[], Any]) -> list[Any]:
    """What each process gets from `action`, on every process.

    Raises:
        UserError: one of them raised it; all do.
    """
    if jax.process_count() == 1:
        return [action()]
    try:
        told = {"value": action()}
    except UserError as error:
        told = {"error": str(error)[: _ROOM // 8]}
    for number, one in enumerate(heard := _exchanged(told)):
        if "error" in one:
            raise UserError(f"{one['error']} (process {number})")
    return [one["value"] for one in heard]


def together(action: Callable[[], Any]) -> Any:
    """What this process gets from `action`, which all of them do.

    Raises:
        UserError: one of them raised it; all do.
    """
    made = []
    on_all(lambda: made.append(action()))
    return made[0]


def check_same(what: str, values: Mapping[str, Any]) -> None:
    """Checks that all processes of the run have the same values.

    Args:
        what: the values are of, for the message.
        values: flat; of what JSON can hold.

    Raises:
        UserError: they differ, on every process; names the first key that does.
    """
    text = json.dumps(values, sort_keys=True)
    if len(set(on_all(lambda: hashlib.sha256(text.encode()).hexdigest()))) == 1:
        return
    first, *others = on_all(lambda: json.loads(text))
    for number, other in enumerate(others, 1):
        for key in sorted(first.keys() | other.keys()):
            if first.get(key) != other.get(key):
                raise UserError(
                    f"the processes of this run have different {what}: {key} is "
                    f"{first.get(key)!r} for process 0, {other.get(key)!r} for process "
                    f"{number}; start all of them with the same command, code and data"
                )


@functools.cache
def versions() -> dict[str, str]:
    """What the processes of a run must have in common beside its config."""
    whole = hashlib.sha256()
    folder = pathlib.Path(__file__).parents[1]
    for path in sorted(folder.rglob("*.py")):
        whole.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    packages = {f"version of {name}": metadata.version(name) for name in names}
    return {**packages, "code of babyvlm_jax": whole.hexdigest()[:16]}


def _exchanged(told: dict) -> list[dict]:
    """Arrays of one shape cross between processes; long words get a second, larger."""
    text = json.dumps(told).encode()
    heard = _gathered(
        text if len(text) <= _ROOM else json.dumps({"size": len(text)}).encode(), _ROOM
    )
    sizes = [one["size"] for one in heard if "size" in one]
    return _gathered(text, max(_ROOM, *sizes)) if sizes else heard


def _gathered(text: bytes, room: int) -> list[dict]:
    padded = np.frombuffer(text.ljust(room), np.uint8)
    heard = np.asarray(multihost_utils.process_allgather(padded))
    return [json.loads(row.tobytes()) for row in heard.reshape(-1, room)]


@contextlib.contextmanager
def locked(folder) -> Iterator[None]:
    """`lock.held`, by process 0 for all.

    Raises:
        UserError: another run has it.
    """
    with contextlib.ExitStack() as stack:
        on_first(lambda: stack.enter_context(lock.held(folder)))
        yield


class StopSignal:
    """Notes that the run shall stop, instead of dying of the signal.

    Several processes are told by JAX's preemption service, which has them agree on a
    step. One that makes no step within `GRACE_S` of the signal, because others are
    gone, ends with code 75. It hears the signal even while it waits for them.

    Attributes:
        is_set: whether it shall, as far as `reached` has told.
        was_asked: whether any run of this process got the signal.
    """

    was_asked = False

    def __init__(self):
        self.is_set = False
        self._alone = jax.process_count() == 1
        self._last, self._patience_s = 0.0, GRACE_S
        self._closed = threading.Event()
        if not self._alone:
            heard, written = os.pipe()
            os.set_blocking(written, False)
            # Python's handlers wait for the main thread, these bytes do not
            signal.set_wakeup_fd(written, warn_on_full_buffer=False)
            threading.Thread(target=self._listen, args=(heard,), daemon=True).start()
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self._note)

    def _note(self, number, frame):
        del number, frame
        StopSignal.was_asked = True
        self.is_set = self._alone

    def _listen(self, heard: int) -> None:
        os.read(heard, 1)
        _note_of_jax(signal.SIGTERM)
        self.alive()
        while self._last + self._patience_s > time.monotonic():
            if self._closed.wait(min(1, GRACE_S)):
                return
        print(
            f"asked to stop, but no step within {GRACE_S} s: other processes of the "
            "run are gone, or stuck; ends without saving",
            file=sys.stderr,
            flush=True,
        )
        os._exit(EXIT_PREEMPTED)

    def close(self) -> None:
        """The run is over; it ends by itself."""
        self._closed.set()

    def alive(self) -> None:
        """Tells that the run gets on."""
        self._last = time.monotonic()

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Around what lasts longer than a step: a save, a validation."""
        self.alive()
        self._patience_s = PATIENCE_S
        try:
            yield
        finally:
            self.alive()
            self._patience_s = GRACE_S

    def reached(self, step: int) -> bool:
        """Whether to stop before `step`; all processes ask, at every step."""
        self.alive()
        if not self._alone:
            self.is_set = multihost_utils.reached_preemption_sync_point(step)
        return self.is_set


class Child:
    """Runs one command after the other, and hands the signals to stop on to them.

    Attributes:
        stopped: the number of such a signal, None before the first.
    """

    def __init__(self):
        self._process = None
        self.stopped: int | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._forward)

    def _forward(self, number, frame):
        del frame
        self.stopped = number
        if self._process is not None:
            self._process.send_signal(number)

    def run(self, command: list[str]) -> int:
        """Its exit code; 75 where a signal ended it, or came before it."""
        if self.stopped:
            return EXIT_PREEMPTED
        self._process = subprocess.Popen(command)
        if self.stopped:  # between the two lines above
            self._process.send_signal(self.stopped)
        code = self._process.wait()
        if code < 0:
            return EXIT_PREEMPTED if self.stopped else 128 - code
        return code
