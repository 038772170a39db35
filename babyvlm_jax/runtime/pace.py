"""How fast a run goes and what it spends its time on, by the host's clock alone."""

import contextlib
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from babyvlm_jax.data.config import Batch

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
