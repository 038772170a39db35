"""How full packed rows are, for every size of row: which T and M to train with."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from babyvlm_jax.data.lengths import Stops
from babyvlm_jax.data.packing import Capacity, fits, plan
from babyvlm_jax.runtime.errors import UserError

SIZES = (1024, 2048, 4096, 8192)
# ours: image slots as multiples of what the mean record needs
SHARES = (0.9, 1.0, 1.1, 1.25)
_SAME = 0.002  # difference of fill that does not pay for more image slots


@dataclasses.dataclass(frozen=True)
class Fill:
    """One size of row.

    Attributes:
        tokens: T.
        images: M.
        fill_tokens: fraction of tokens that are not padding.
        fill_images: fraction of image slots in use.
        cut: fraction of the records that lose their last turns.
        left_out: fraction of which not even the first answer fits, or no answer has a
            word that the tokenizer knows.
        best: this is the size to take for its T; `best_of_all`: for any.
    """

    tokens: int
    images: int
    fill_tokens: float
    fill_images: float
    cut: float
    left_out: float
    best: bool = False
    best_of_all: bool = False

    @property
    def not_whole(self) -> float:
        return self.cut + self.left_out


def tabulate(stops: Stops, sizes: Sequence[int] = SIZES, seed: int = 0) -> list[Fill]:
    """Packs the records into rows of every size.

    The best M of a T leaves the most records whole; of these it fills best, and of
    those that fill alike it has the fewest slots. The best T is chosen in the same way.

    Args:
        stops: of the records; long ones are cut as in training.
        sizes: the T to try.
        seed: of the packing.

    Returns:
        A row for each T and M in which some record fits, by T and M.

    Raises:
        UserError: there is no record, or none fits or teaches anything.
    """
    if not len(stops.starts):
        raise UserError("no record to pack")
    if not stops.whole().teaches.any():
        raise UserError("no answer has a word that the tokenizer knows; check both")
    table = []
    for tokens in sizes:
        packed = [
            _pack(stops, Capacity(tokens, images), seed)
            for images in slots(stops, tokens)
        ]
        here = [one for one in packed if one]
        if here:
            best = choose(here)
            table += [dataclasses.replace(one, best=one is best) for one in here]
    if not table:
        raise UserError(
            f"no record fits a row of {max(sizes)} tokens; the shortest needs "
            f"{stops.sizes[:, 0].min()}"
        )
    best = choose([one for one in table if one.best])
    return [dataclasses.replace(one, best_of_all=one is best) for one in table]


def slots(stops: Stops, tokens: int) -> list[int]:
    """The M to try for a T: around as many pictures as T tokens bring along.

    Records of 100 tokens with one picture each: slots(..., 1000) == [9, 10, 11, 12].
    """
    capacity = Capacity(tokens, np.iinfo(np.int32).max)
    sizes = stops.in_rows(capacity).sizes
    fit = sizes[fits(sizes, capacity)]
    if not len(fit) or not fit[:, 1].any():
        return [0]
    usual = tokens * fit[:, 1].sum() / fit[:, 0].sum()
    least = int(fit[:, 1].max())  # or records would be cut for their pictures
    return sorted({max(round(usual * share), least, 1) for share in SHARES})


def choose(table: Sequence[Fill]) -> Fill:
    """The row to take, see `tabulate`."""
    fewest = min(one.not_whole for one in table)
    table = [one for one in table if one.not_whole == fewest]
    fullest = max(one.fill_tokens for one in table)
    alike = [one for one in table if one.fill_tokens >= fullest - _SAME]
    return min(alike, key=lambda one: (one.tokens, one.images))


def _pack(stops, capacity, seed) -> Fill | None:
    lengths = stops.in_rows(capacity)
    usable = lengths.teaches & fits(lengths.sizes, capacity)
    if not usable.any():
        return None
    made = plan(lengths.sizes[usable], capacity, seed, 0)
    return Fill(
        tokens=capacity.tokens,
        images=capacity.images,
        fill_tokens=made.fill_tokens,
        fill_images=made.fill_images,
        cut=float((lengths.truncated & usable).mean()),
        left_out=float((~usable).mean()),
    )


def lines(table: Sequence[Fill]) -> list[str]:
    """The table as text; the best M of each T has a star, the best of all two."""
    head = f"{'T':>6} {'M':>5} {'tokens used':>12} {'slots used':>11} "
    head += f"{'cut':>7} {'left out':>9}"
    found = [head]
    for one in table:
        star = "**" if one.best_of_all else "*" if one.best else ""
        line = (
            f"{one.tokens:6} {one.images:5} {one.fill_tokens:12.1%} "
            f"{one.fill_images:11.1%} {one.cut:7.2%} {one.left_out:9.2%} {star}"
        )
        found.append(line.rstrip())
    best = next(one for one in table if one.best_of_all)
    found.append(
        f"best: --config.data.seq_len={best.tokens} "
        f"--config.data.max_images={best.images}, {best.fill_tokens:.1%} of the tokens "
        "are not padding"
    )
    return found
