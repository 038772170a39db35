"""What a run says about itself while it goes: log, pace, trace, and an alarm.

`RunLog` is all of it as one context: metrics.jsonl, TensorBoard events and a progress
bar (`Writer`), rates and waits (`Pace`), a profile of some steps (`Trace`), and the end
of a run that hangs (`Watchdog`). Device scalars are written one push late, so the loop
never waits for the step that is running.
"""

import contextlib
import faulthandler
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm
from etils import epath
from tensorboardX import SummaryWriter

from babyvlm_jax.data.config import Batch
from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.errors import EXIT_PREEMPTED
from babyvlm_jax.runtime.files import write_atomically

BUCKET_LOG_S = 10  # ours: each time the whole file is sent

# Peak dense bf16 FLOP/s by `Device.device_kind`, from the makers' data sheets.
PEAK_FLOPS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,  # v5p
    "TPU v6 lite": 918e12,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
}

# what a batch holds, by name of its rate
RATES = (
    "supervised_tokens_per_s",
    "tokens_per_s",
    "token_slots_per_s",
    "images_per_s",
    "image_slots_per_s",
)


class RunLog:
    """All that a run says about itself, as one context around its steps.

    with RunLog(workdir, run, start_step, flops) as log:
        for step, batch in log.timed(batches):
            with log.traced(step):
                state, values = step_fn(state, batch)
            log.made(step, batch, values)
            if log.is_due(step + 1):
                log.push(step + 1, values)
    """

    def __init__(self, workdir, run, start_step: int, flops: Callable[[], Any]):
        """
        Args:
            workdir: gets metrics.jsonl, TensorBoard events, and a trace.
            run: has name, num_steps, log_every, trace_steps and watchdog_s; see
                `training.settings.TrainSettings`.
            start_step: steps done before this start.
            flops: gives a step's FLOPs, `model` and others, where `Pace` asks.
        """
        self._workdir, self._run, self._start = workdir, run, start_step
        self._flops = flops
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "RunLog":
        run, workdir, enter = self._run, self._workdir, self._stack.enter_context
        hangs = Watchdog(run.watchdog_s, processes.log_file(workdir, "hang"))
        self._watchdog = enter(contextlib.closing(hangs))
        self._trace = enter(contextlib.closing(Trace(workdir, run.trace_steps)))
        writer = enter(Writer(workdir, run.name, run.num_steps, self._start))
        pace = Pace(lambda: self._flops().model, writer.productive_s, writer.elapsed_s)
        self._writer, self._pace = writer, pace
        self.alive, self.traced, self.flush = hangs.step, self._trace.step, writer.flush
        self.timed, self.waiting = pace.timed, pace.waiting
        return self

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)

    def made(self, step: int, batch: Batch, values: Any) -> None:
        """Notes that a step was dispatched.

        Args:
            batch: this process's slice.
            values: what the step returns; waited for where a trace ends.
        """
        self._trace.after(step, values)
        self._pace.step(batch)
        self._watchdog.step()
        self._writer.tick()

    def is_due(self, done: int) -> bool:
        """Whether so many steps are a row of the log; the last always is."""
        return done % self._run.log_every == 0 or done == self._run.num_steps

    def push(
        self, done: int, values: Mapping[str, Any], others: Mapping[str, Any]
    ) -> dict[str, float]:
        """Writes the row before and takes this one; see `Writer.push`.

        Args:
            values: of the step; they are logged as `train/NAME`, like the pace.
            others: by their whole names.
        """
        values = {f"train/{k}": v for k, v in (values | self._pace.row()).items()}
        return self._writer.push(done, values | others)


class Watchdog:
    """Unless told of a step often enough, writes all stacks and exits with code 75.

    It cannot unwind the threads, so nothing is saved: the run resumes from its newest
    checkpoint.
    """

    def __init__(self, timeout_s: float, log):
        """
        Args:
            timeout_s: longest time without a step; 0 for no limit.
            log: file that gets the stacks too.
        """
        self._timeout_s, self._log = timeout_s, pathlib.Path(log)
        self._last = time.monotonic()
        self._closed = threading.Event()
        if timeout_s:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def step(self) -> None:
        """Notes that a step was made."""
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

    A file in a bucket cannot be appended to, so there it is written anew, now and then
    and at the end; a run that is killed loses the lines since.
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


def content(batch: Batch) -> np.ndarray:
    """i64[5] supervised tokens, tokens, tokens and padding; images, images and padding.

    Args:
        batch: rows, or frames {"images": ...}.
    """
    if "loss_mask" not in batch:
        images = len(batch["images"])
        return np.array([0, 0, 0, images, images])
    return np.array(
        [
            np.count_nonzero(batch["loss_mask"]),
            np.count_nonzero(batch["segment_ids"]),
            batch["segment_ids"].size,
            np.count_nonzero(batch["image_mask"]),
            batch["image_mask"].size,
        ]
    )


class Pace:
    """Times the loop between two rows of the log.

    The first step of a start is left out of the rates, because it waits for compilers.
    """

    def __init__(
        self,
        flops: Callable[[], float],
        productive_s: float = 0.0,
        elapsed_s: float = 0.0,
    ):
        """
        Args:
            flops: of a step, in closed form; asked for if the devices' peak is known.
            productive_s: of earlier starts, see `row`.
            elapsed_s: since the run's first start.
        """
        self._productive_s = productive_s
        peak = PEAK_FLOPS.get(jax.devices()[0].device_kind)
        self._full_s = flops() / (peak * jax.device_count()) if peak else 0.0
        self._began = time.perf_counter() - elapsed_s
        self._warm = False
        self._reset()

    def _reset(self):
        self._since = time.perf_counter()
        self._steps = 0
        self._content = np.zeros(len(RATES), np.int64)
        self._waited = {"input": 0.0, "checkpoint": 0.0}

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Counts the time of a block as waiting: `input`, `checkpoint`, another."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            so_far = self._waited.get(what, 0.0)
            self._waited[what] = so_far + time.perf_counter() - begin

    def timed(self, batches: Iterator) -> Iterator:
        """The same items; how long each was waited for is counted."""
        while True:
            with self.waiting("input"):
                item = next(batches, None)
            if item is None:
                return
            yield item

    def step(self, batch: Batch) -> None:
        """Counts a step over this process's slice of a batch."""
        if not self._warm:
            self._warm = True
            self._reset()
            return
        self._steps += 1
        self._content += content(batch)

    def row(self) -> dict[str, float]:
        """What to log of the time since the last call.

        Returns:
            step_s: seconds a step, all waiting included.
            input_wait, checkpoint_wait, and others that there were: share of the time.
            RATES: of all processes; process 0's, times their number.
            mfu: share of the devices' peak that the model's own FLOPs take, where it is
                known.
            goodput: share of the time since the run's first start, pauses and lost
                steps included, in which steps were made and nothing was waited for.
        """
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        waited = min(sum(self._waited.values()), seconds)
        row = {f"{name}_wait": s / seconds for name, s in self._waited.items()}
        if self._steps:
            self._productive_s += seconds - waited
            row["step_s"] = seconds / self._steps
            rates = self._content * jax.process_count() / seconds
            row |= dict(zip(RATES, rates.tolist(), strict=True))
            if self._full_s:
                row["mfu"] = self._full_s * self._steps / seconds
        row["goodput"] = self._productive_s / max(now - self._began, 1e-9)
        self._reset()
        return row
