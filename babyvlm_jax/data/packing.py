"""The packing plan: which records share a row. Pure; knows lengths, not records."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.seeds import generator
from babyvlm_jax.runtime.errors import UserError

# ours: fill within 1 % of sorting all records together, at bounded work per record
WINDOW = 1024  # records packed together
CARRIED_ROWS = 64  # rows that wait for the next window

_EMPTY_ROW = np.zeros(0, np.int64)


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


def plan(
    lengths: np.ndarray,
    capacity: Capacity,
    seed: int,
    epoch: int,
    window: int = WINDOW,
) -> Plan:
    """Packs records into rows, as tightly as their shuffled order allows.

    Records are shuffled and cut into windows; each window is packed by best fit,
    largest first; the rows are shuffled again.

    Args:
        lengths: i32[N, 2] tokens (visual ones included) and distinct images.
        capacity: what a row holds.
        seed: of the run.
        epoch: another epoch is another order.
        window: records packed together; a wider one packs tighter, in more time.

    Returns:
        The plan; every record that fits is in exactly one row.

    Raises:
        UserError: no record fits.
    """
    fit = fits(lengths, capacity)
    check_some_fit(lengths, fit, capacity, "the mixture")
    rng = generator(seed, epoch, "packing")
    order = rng.permutation(np.flatnonzero(fit))
    packer = _Packer(capacity, min(window, len(order)))
    for start in range(0, len(order), window):
        members = order[start : start + window]
        packer.add(members, lengths[members])
    rows = packer.finish()
    return as_plan([rows[i] for i in rng.permutation(len(rows))], lengths, capacity)


def as_plan(
    rows: Sequence[np.ndarray], lengths: np.ndarray, capacity: Capacity
) -> Plan:
    """Rows that hold every record that fits, with the figures of a plan."""
    fit = fits(lengths, capacity)
    used = lengths[fit].sum(axis=0)
    room = np.maximum(np.array(capacity) * len(rows), 1)
    return Plan(
        rows=tuple(rows),
        too_long=np.flatnonzero(~fit),
        fill_tokens=float(used[0] / room[0]),
        fill_images=float(used[1] / room[1]),
    )


def squeeze(
    made: Plan, lengths: np.ndarray, capacity: Capacity, num_rows: int
) -> Plan | None:
    """The plan in `num_rows` rows; None if the others' records find no room in them.

    The records of the last rows go where there is room, as late as possible.
    """
    if len(made.rows) <= num_rows:
        return made
    rows = list(made.rows[:num_rows])
    room = np.array(capacity) - [lengths[row].sum(axis=0) for row in rows]
    left = np.concatenate(made.rows[num_rows:])
    for record in left[np.argsort(-lengths[left, 0], kind="stable")]:
        enough = np.flatnonzero((room >= lengths[record]).all(axis=1))
        if not len(enough):
            return None
        rows[enough[-1]] = np.append(rows[enough[-1]], record)
        room[enough[-1]] -= lengths[record]
    return as_plan(rows, lengths, capacity)


def spread(
    rows: Sequence[np.ndarray], num_steps: int, batch_size: int
) -> list[np.ndarray]:
    """Rows for exactly so many batches; what is missing is empty rows at the end.

    No batch is empty while there are records enough: the last full batches give some
    of their rows, and where there are fewer rows than steps, rows are divided.

        5 rows, 3 steps of 3:   [a b c] [d . .] [e . .]
    """
    rows = list(rows)
    while len(rows) < num_steps:
        most = max(range(len(rows)), key=lambda place: len(rows[place]))
        if len(rows[most]) < 2:
            break
        half = len(rows[most]) // 2
        rows.append(rows[most][half:])
        rows[most] = rows[most][:half]
    full = len(rows) // batch_size
    while full and len(rows) - full * batch_size < num_steps - full:
        full -= 1
    out = rows[: full * batch_size]
    tail = rows[full * batch_size :]
    for part in range(num_steps - full):
        share = [(part + i) * len(tail) // (num_steps - full) for i in (0, 1)]
        batch = list(tail[slice(*share)])
        out += batch + [_EMPTY_ROW] * (batch_size - len(batch))
    return out


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

    def __init__(self, capacity: Capacity, window: int):
        self._capacity = capacity
        # a row without image slots still divides by something
        self._scale = 1.0 / np.maximum(np.array(capacity), 1)
        limit = CARRIED_ROWS + window
        self._tokens = np.empty(limit, np.int64)  # room left in the open rows
        self._images = np.empty(limit, np.int64)
        self._slack = np.empty(limit)  # both, in rows
        self._open: list[list[int]] = []
        self._closed: list[np.ndarray] = []

    def add(self, window: np.ndarray, lengths: np.ndarray) -> None:
        """Packs one window; only the emptiest rows stay open for the next."""
        # not a product of matrices, whose last bits differ between processors
        size = lengths[:, 0] * self._scale[0] + lengths[:, 1] * self._scale[1]
        order = np.argsort(-size, kind="stable")
        alike = (np.diff(lengths[order], axis=0) == 0).all(axis=1)
        for run in np.split(order, np.flatnonzero(~alike) + 1):
            self._add_alike(window[run].tolist(), lengths[run[0]], size[run[0]])
        by_room = np.argsort(-self._slack[: len(self._open)], kind="stable")
        self._close(by_room[CARRIED_ROWS:])
        kept = by_room[:CARRIED_ROWS]
        for room in (self._tokens, self._images, self._slack):
            room[: len(kept)] = room[kept]
        self._open = [self._open[row] for row in kept]

    def _add_alike(self, records, length, size):
        """Records of one length: the best row of one stays the best while it fits."""
        tokens, images = length.tolist()
        start = 0
        while start < len(records):
            row = self._best(tokens, images)
            count = min(
                len(records) - start,
                int(self._tokens[row]) // max(tokens, 1),
                int(self._images[row]) // images if images else len(records),
            )
            self._open[row] += records[start : start + count]
            self._tokens[row] -= count * tokens
            self._images[row] -= count * images
            for _ in range(count):  # as if they came singly, to the last bit
                self._slack[row] -= size
            start += count

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
