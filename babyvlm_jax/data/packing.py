"""The packing plan: which records share a row. Pure; knows lengths, not records."""

import dataclasses
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.seeds import generator
from babyvlm_jax.errors import UserError

# ours: fill within 1 % of sorting all records together, at bounded work per record
WINDOW = 1024  # records packed together
CARRIED_ROWS = 64  # rows that wait for the next window


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
    largest first; the rows are shuffled again.

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
    rows = packer.finish()
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
    """Best fit: a record goes into the row where it leaves the least room."""

    def __init__(self, capacity: Capacity):
        self._capacity = capacity
        # a row without image slots still divides by something
        self._scale = 1.0 / np.maximum(np.array(capacity), 1)
        limit = CARRIED_ROWS + WINDOW
        self._tokens = np.empty(limit, np.int64)  # room left in the open rows
        self._images = np.empty(limit, np.int64)
        self._slack = np.empty(limit)  # both, in rows
        self._open: list[list[int]] = []
        self._closed: list[np.ndarray] = []

    def add(self, window: np.ndarray, lengths: np.ndarray) -> None:
        """Packs one window; only the emptiest rows stay open for the next."""
        size = lengths @ self._scale
        for i in np.argsort(-size, kind="stable").tolist():
            tokens, images = lengths[i].tolist()
            row = self._best(tokens, images)
            self._open[row].append(window[i])
            self._tokens[row] -= tokens
            self._images[row] -= images
            self._slack[row] -= size[i]
        by_room = np.argsort(-self._slack[: len(self._open)], kind="stable")
        self._close(by_room[CARRIED_ROWS:])
        kept = by_room[:CARRIED_ROWS]
        for room in (self._tokens, self._images, self._slack):
            room[: len(kept)] = room[kept]
        self._open = [self._open[row] for row in kept]

    def _best(self, tokens, images):
        count = len(self._open)
        enough = (self._tokens[:count] >= tokens) & (self._images[:count] >= images)
        if enough.any():
            return int(np.where(enough, self._slack[:count], np.inf).argmin())
        self._tokens[count], self._images[count] = self._capacity
        self._slack[count] = 2.0
        self._open.append([])
        return count

    def _close(self, rows):
        self._closed += [np.array(self._open[row], np.int64) for row in rows]

    def finish(self) -> list[np.ndarray]:
        """All rows."""
        self._close(range(len(self._open)))
        return self._closed
