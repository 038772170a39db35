"""Ends a process that hangs, and says where it hung."""

import faulthandler
import os
import pathlib
import sys
import threading
import time

from babyvlm_jax.runtime.errors import EXIT_PREEMPTED


class Watchdog:
    """Unless told of a step often enough, writes all stacks and exits with code 75.

    It cannot unwind the threads, so nothing is saved: the run goes on from its newest
    checkpoint.
    """

    def __init__(self, timeout_s: float, log):
        """
        Args:
            timeout_s: longest time without a step; 0 for ever.
            log: file that gets the stacks too.
        """
        self._timeout_s, self._log = timeout_s, pathlib.Path(log)
        self._last = time.monotonic()
        self._closed = threading.Event()
        if timeout_s:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def step(self) -> None:
        """Tells of a step."""
        self._last = time.monotonic()

    def close(self) -> None:
        """Stops watching."""
        self._closed.set()

    def _watch(self):
        while (left := self._last + self._timeout_s - time.monotonic()) > 0:
            if self._closed.wait(left):
                return
        text = f"no step within {self._timeout_s} s (config.watchdog_s); all stacks:\n"
        with self._log.open("a") as file:
            for out in (file, sys.stderr):
                out.write(text)
                out.flush()
                faulthandler.dump_traceback(out, all_threads=True)
        os._exit(EXIT_PREEMPTED)
