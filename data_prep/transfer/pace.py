"""How fast requests may go out, for all threads together."""

import threading
import time


class Stopped(Exception):
    """The work that this thread belongs to has ended."""


class Pace:
    """Spreads requests evenly, and holds all of them back when the server asks for it.

    Attributes:
        stopped: set once no further request is to be made; who waits wakes up.
    """

    def __init__(self, per_minute: float):
        """
        Args:
            per_minute: requests; 0 for as many as there are.
        """
        self._gap_s = 60 / per_minute if per_minute else 0.0
        self._next_s = 0.0  # when the next request may go out, on the monotonic clock
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def wait(self) -> None:
        """Returns when this thread may make a request.

        Raises:
            Stopped: there is to be none.
        """
        with self._lock:
            mine_s = max(self._next_s, time.monotonic())
            self._next_s = mine_s + self._gap_s
        self.sleep(mine_s - time.monotonic())
        if self.stopped.is_set():
            raise Stopped

    def hold(self, seconds: float) -> None:
        """No request for so long, by no thread."""
        with self._lock:
            self._next_s = max(self._next_s, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Waits, unless all is stopped meanwhile."""
        self.stopped.wait(max(seconds, 0.0))
