"""One side of a run measured alone: is it the loader or the step that binds?"""

import itertools
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.config import Batch

SECONDS = 20.0  # ours: longer runs do not change the answer


class Rate(NamedTuple):
    """What passed in how many seconds."""

    seconds: float
    batches: int
    rows: int
    supervised: int
    images: int

    def __str__(self) -> str:
        def each(count):
            return f"{count / max(self.seconds, 1e-9):,.1f}"

        return (
            f"{each(self.batches)} batches/s, {each(self.rows)} rows/s, "
            f"{each(self.supervised)} supervised tokens/s, {each(self.images)} "
            f"images/s ({self.batches} batches in {self.seconds:.1f} s)"
        )


def measure(
    batches: Iterable[Batch],
    use: Callable[[Batch], object],
    num_steps: int,
    seconds: float = SECONDS,
) -> Rate:
    """Uses batches one after the other, for a while.

    Args:
        batches: the loader, or one batch again and again.
        use: what to do with each; returns when it is done.
        num_steps: most batches that are timed.
        seconds: time after which to stop.

    Returns:
        The rate, without the first batch: it waits for plans and compilers.
    """
    batches = iter(batches)
    for first in itertools.islice(batches, 1):
        use(first)
    sums = np.zeros(4, np.int64)
    begin = time.perf_counter()
    for batch in itertools.islice(batches, num_steps):
        use(batch)
        sums += _content(batch)
        if time.perf_counter() - begin > seconds:
            break
    return Rate(time.perf_counter() - begin, *sums.tolist())


def _content(batch: Batch):
    """(1, rows, supervised tokens, images)."""
    if "loss_mask" not in batch:
        return 1, len(batch["images"]), 0, len(batch["images"])
    return (
        1,
        len(batch["tokens"]),
        np.count_nonzero(batch["loss_mask"]),
        np.count_nonzero(batch["image_mask"]),
    )
