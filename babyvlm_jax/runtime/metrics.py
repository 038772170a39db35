"""What a run writes about itself: metrics.jsonl, TensorBoard events, a progress bar.

Device scalars are written one push late, so the loop never waits for the step that
is running.
"""

import contextlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import tqdm
from etils import epath
from tensorboardX import SummaryWriter

from babyvlm_jax.runtime.files import write_atomically

BUCKET_LOG_S = 10  # ours: each time the whole file is sent


class Trace:
    """Profiles some steps for XProf: `xprof WORKDIR/trace`."""

    def __init__(self, workdir, steps: Sequence[int]):
        """
        Args:
            steps: (first, last), counted from 0; empty for none.
        """
        self._folder = epath.Path(workdir) / "trace"
        # the profiler writes to disks only
        self._disk = tempfile.mkdtemp() if "://" in str(self._folder) else ""
        self._first, self._last = steps or (-1, -1)
        self._is_on = False

    @contextlib.contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Goes around the dispatch of a step."""
        if step == self._first:
            jax.profiler.start_trace(self._disk or str(self._folder))
            self._is_on = True
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            yield

    def after(self, step: int, values: Any) -> None:
        """Ends the trace with its last step; waits for that step alone."""
        if self._is_on and step >= self._last:
            jax.block_until_ready(values)
            self.close()

    def close(self) -> None:
        """Ends the trace if it is on."""
        if self._is_on:
            jax.profiler.stop_trace()
            self._is_on = False
            if self._disk:
                copy_files(self._disk, self._folder)
                shutil.rmtree(self._disk)


def copy_files(source, target) -> None:
    """Copies the files below a folder, to a disk or a bucket."""
    source, target = epath.Path(source), epath.Path(target)
    for path in source.iterdir():
        if path.is_dir():
            copy_files(path, target / path.name)
        else:
            write_atomically(target / path.name, path.read_bytes())


class Writer:
    """Late writer of one run; only process 0 writes files.

    On opening, lines beyond `start_step` (of a run that was killed after its last
    checkpoint) and halves of lines are dropped, so the file never holds a step twice.
    With `flush` before each checkpoint it never lacks one either.
    """

    def __init__(self, workdir, name: str, num_steps: int, start_step: int):
        self._late, self._flushed = None, {}
        self._lead = jax.process_index() == 0
        self._start = time.perf_counter()
        self._before = _Before(0.0, 0.0, time.time())
        if not self._lead:
            return
        folder = epath.Path(workdir)
        self._path = folder / "metrics.jsonl"
        kept = self._kept_lines(start_step)
        self._log = Log(self._path, "".join(line + "\n" for line in kept))
        if kept:
            self._before = _before(json.loads(kept[0]), json.loads(kept[-1]))
        self._events = SummaryWriter(str(folder / "tensorboard"))
        self._bar = tqdm.tqdm(
            total=num_steps,
            initial=start_step,
            desc=name,
            unit="step",
            mininterval=1.0,
            dynamic_ncols=True,
        )

    def _kept_lines(self, start_step: int) -> list[str]:
        if not self._path.exists():
            return []
        kept = {}
        for line in self._path.read_bytes().decode(errors="replace").splitlines():
            row = _row_of(line)
            if row and row["step"] <= start_step:
                kept[row["step"]] = line
        return [kept[step] for step in sorted(kept)]

    def tick(self) -> None:
        """Moves the progress bar by one step."""
        if self._lead:
            self._bar.update()

    @property
    def productive_s(self) -> float:
        """Seconds that earlier starts spent on steps which count."""
        return self._before.productive_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run's first start."""
        return time.time() - self._before.started_unix_s

    def push(self, step: int, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Takes this step's metrics and writes those of the push before.

        Returns:
            The metrics of the push before, on every process; {} if there was none.
        """
        row, self._flushed = self._write() or self._flushed, {}
        clock = {
            "time_s": self._before.time_s + time.perf_counter() - self._start,
            "unix_s": time.time(),
        }
        self._late = (step, metrics, clock)
        return row

    def flush(self) -> None:
        """Writes what is late, to the disk itself: a checkpoint is about to be there.

        The next `push` returns it.
        """
        self._flushed = self._write() or self._flushed
        if self._lead:
            self._log.sync()

    def _write(self) -> dict[str, float]:
        if self._late is None:
            return {}
        step, metrics, clock = self._late
        row = {key: float(value) for key, value in metrics.items()}
        row = {key: value for key, value in row.items() if not _of_no_data(key, value)}
        self._late = None
        if not self._lead:
            return row
        line = {"step": step} | {key: round(value, 3) for key, value in clock.items()}
        self._log.add(json.dumps({**line, **row}) + "\n")
        for key, value in row.items():
            self._events.add_scalar(key, value, step)
        self._bar.set_postfix(loss=f"{row['train/loss']:.3f}", refresh=False)
        return row

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind:
            self._late = None  # what raised may have left it without a value
        self.close()

    def close(self) -> None:
        """Writes what is late and closes the files."""
        self._write()
        if self._lead:
            self._log.close()
            self._events.close()
            self._bar.close()


class Log:
    """A file of lines that grows.

    What lies in a bucket cannot be added to, so there the file is written anew, now and
    then and at the end; a run that is killed loses the lines since.
    """

    def __init__(self, path: epath.Path, text: str):
        self._path, self._is_fixed = path, "://" in str(path)
        self._text = text if self._is_fixed else ""
        self._written = time.monotonic()
        write_atomically(path, text.encode())

    def add(self, line: str) -> None:
        """Adds a line."""
        if not self._is_fixed:
            with self._path.open("a") as file:
                file.write(line)
            return
        self._text += line
        if time.monotonic() - self._written > BUCKET_LOG_S:
            self.close()

    def sync(self) -> None:
        """Has what was added survive a power cut."""
        if self._is_fixed:
            self.close()
            return
        with self._path.open("a") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        """Writes what is not written yet."""
        if self._is_fixed:
            write_atomically(self._path, self._text.encode())
            self._written = time.monotonic()


class _Before(NamedTuple):
    """What the lines of earlier starts tell about time."""

    time_s: float
    productive_s: float
    started_unix_s: float


def _before(first: Mapping[str, float], last: Mapping[str, float]) -> _Before:
    started = first["unix_s"] - first["time_s"]
    productive_s = last.get("train/goodput", 0.0) * (last["unix_s"] - started)
    return _Before(last["time_s"], productive_s, started)


def _row_of(line: str) -> dict[str, Any] | None:
    """A line's content; None for half a line, or what else a kill leaves behind."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_row = isinstance(row, dict) and {"step", "time_s", "unix_s"} <= row.keys()
    return row if is_row and type(row["step"]) is int else None


def _of_no_data(key: str, value: float) -> bool:
    """Is this the loss of a dataset of which the batch had nothing?"""
    return key.startswith("train/loss/") and math.isnan(value)
