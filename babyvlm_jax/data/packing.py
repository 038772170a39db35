"""The packing plan: which records share a row. Pure; knows lengths, not records."""

import dataclasses
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.seeds import generator
from babyvlm_jax.errors import UserError

WINDOW = 4096  # records sorted together; ours: fill within 1 % of a global sort
OPEN_ROWS = 128  # ours: bounds the work per record


class Capacity(NamedTuple):
    """What a row holds: tokens (T) and images (M)."""

    tokens: int
    images: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """Rows of one epoch.

    Attributes:
        rows: arrays of record numbers, one a row, in training order.
        too_long: record numbers that fit no row; they are in none.
        fill_tokens: fraction of all rows' tokens in use.
        fill_images: fraction of all rows' image slots in use.
    """

    rows: tuple[np.ndarray, ...]
    too_long: np.ndarray
    fill_tokens: float
    fill_images: float


def fits(lengths: np.ndarray, capacity: Capacity) -> np.ndarray:
    """bool[N]: does record i, of lengths i32[N, 2], fit a row by itself?"""
    return (lengths <= np.array(capacity)).all(axis=1)


def plan(lengths: np.ndarray, capacity: Capacity, seed: int, epoch: int) -> Plan:
    """Packs records into rows, as tightly as their shuffled order allows.

    Records are shuffled and cut into windows; each window is packed by best fit,
    largest first, into a bounded number of open rows; the rows are shuffled again.

    Args:
        lengths: i32[N, 2] tokens (visual ones included) and distinct images.
        capacity: what a row holds.
        seed: of the run.
        epoch: another epoch is another order.

    Returns:
        The plan; every record that fits is in exactly one row.

    Raises:
        UserError: no record fits.
    """
    fit = fits(lengths, capacity)
    check_some_fit(lengths, fit, capacity, "the mixture")
    rng = generator(seed, epoch, "packing")
    order = rng.permutation(np.flatnonzero(fit))
    packer = _Packer(capacity)
    for start in range(0, len(order), WINDOW):
        window = order[start : start + WINDOW]
        packer.add(window, lengths[window])
    rows = packer.close()
    used = lengths[fit].sum(axis=0)
    room = np.maximum(np.array(capacity) * len(rows), 1)
    return Plan(
        rows=tuple(rows[i] for i in rng.permutation(len(rows))),
        too_long=np.flatnonzero(~fit),
        fill_tokens=float(used[0] / room[0]),
        fill_images=float(used[1] / room[1]),
    )


def check_some_fit(lengths, fit, capacity, name) -> None:
    """Raises UserError, with the capacity to ask for, if no record of `name` fits."""
    if fit.any():
        return
    if not len(lengths):
        raise UserError(f"{name} has no record")
    tokens, images = lengths.max(axis=0)
    raise UserError(
        f"no record of {name} fits a row of {capacity.tokens} tokens and "
        f"{capacity.images} images; all fit with seq_len={tokens} and "
        f"max_images={images}, the smallest needs {lengths[:, 0].min()} tokens and "
        f"{lengths[:, 1].min()} images"
    )


class _Packer:
    """Best fit into open rows; a record goes where it leaves the least room."""

    def __init__(self, capacity: Capacity):
        # a row without image slots still divides by something
        self._scale = 1.0 / np.maximum(np.array(capacity, float), 1)
        self._capacity = np.array(capacity)
        self._room = np.zeros((OPEN_ROWS, 2), np.int64)  # [0, 0]: not open
        self._open = [[] for _ in range(OPEN_ROWS)]
        self._rows = []

    def add(self, numbers: np.ndarray, lengths: np.ndarray) -> None:
        size = (lengths * self._scale).max(axis=1)
        for i in np.argsort(-size, kind="stable"):
            slot = self._best(lengths[i])
            self._open[slot].append(numbers[i])
            self._room[slot] -= lengths[i]

    def _best(self, length):
        slack = (self._room * self._scale).sum(axis=1)
        enough = (self._room >= length).all(axis=1)
        if enough.any():
            return int(np.where(enough, slack, np.inf).argmin())
        slot = int(slack.argmin())  # the fullest makes way
        self._finish(slot)
        self._room[slot] = self._capacity
        return slot

    def _finish(self, slot):
        if self._open[slot]:
            self._rows.append(np.array(self._open[slot], np.int64))
            self._open[slot] = []

    def close(self) -> list[np.ndarray]:
        for slot in range(OPEN_ROWS):
            self._finish(slot)
        return self._rows
