"""What a run writes about itself: metrics.jsonl, TensorBoard events, a progress bar.

Device scalars are written one push late, so the loop never waits for the step that
is running.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import tqdm
from etils import epath
from tensorboardX import SummaryWriter


class InputWait:
    """An iterator over another one that knows how long its user waited for it."""

    def __init__(self, batches: Iterator):
        self._batches = batches
        self._waited_s, self._since = 0.0, time.perf_counter()

    def __iter__(self) -> "InputWait":
        return self

    def __next__(self):
        begin = time.perf_counter()
        item = next(self._batches)
        self._waited_s += time.perf_counter() - begin
        return item

    def fraction(self) -> float:
        """Share of the time since the last call that went into waiting."""
        now = time.perf_counter()
        share = self._waited_s / max(now - self._since, 1e-9)
        self._waited_s, self._since = 0.0, now
        return share


class Writer:
    """Late writer of one run; only process 0 writes files.

    On opening, lines beyond `start_step` (of a run that was killed after its last
    checkpoint) are dropped, so the file never holds a step twice.
    """

    def __init__(self, workdir, name: str, num_steps: int, start_step: int):
        self._late = None
        self._lead = jax.process_index() == 0
        self._start = time.perf_counter()
        self._elapsed_before_s = 0.0
        if not self._lead:
            return
        folder = epath.Path(workdir)
        self._path = folder / "metrics.jsonl"
        kept = self._kept_lines(start_step)
        self._path.write_text("".join(line + "\n" for line in kept))
        if kept:
            self._elapsed_before_s = json.loads(kept[-1])["time_s"]
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
        kept = []
        for line in self._path.read_text().splitlines():
            try:
                step = json.loads(line)["step"]
            except json.JSONDecodeError:  # the line that a kill cut short
                break
            if step <= start_step:
                kept.append(line)
        return kept

    def tick(self) -> None:
        """Moves the progress bar by one step."""
        if self._lead:
            self._bar.update()

    def push(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Takes this step's metrics and writes those of the push before."""
        self._write()
        self._late = (step, metrics, time.perf_counter() - self._start)

    def _write(self) -> None:
        if self._late is None or not self._lead:
            return
        step, metrics, elapsed_s = self._late
        row = {key: float(value) for key, value in metrics.items()}
        row = {key: value for key, value in row.items() if not _of_no_data(key, value)}
        self._late = None
        line = {"step": step, "time_s": round(self._elapsed_before_s + elapsed_s, 3)}
        with self._path.open("a") as file:
            file.write(json.dumps({**line, **row}) + "\n")
        for key, value in row.items():
            self._events.add_scalar(key, value, step)
        self._bar.set_postfix(loss=f"{row['train/loss']:.3f}", refresh=False)

    def close(self) -> None:
        """Writes what is late and closes the files."""
        self._write()
        if self._lead:
            self._events.close()
            self._bar.close()


def _of_no_data(key: str, value: float) -> bool:
    """Is this the loss of a dataset of which the batch had nothing?"""
    return key.startswith("train/loss/") and math.isnan(value)
