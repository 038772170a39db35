"""How full packed rows are, for every size of row: which T and M to train with."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from babyvlm_jax.data.packing import Capacity, fits, plan
from babyvlm_jax.errors import UserError

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
        too_long: fraction of the records that fit no row.
        best: this is the size to take for its T; `best_of_all`: for any.
    """

    tokens: int
    images: int
    fill_tokens: float
    fill_images: float
    too_long: float
    best: bool = False
    best_of_all: bool = False


def tabulate(
    lengths: np.ndarray, sizes: Sequence[int] = SIZES, seed: int = 0
) -> list[Fill]:
    """Packs the records into rows of every size.

    The best M of a T leaves the fewest records out; of these it fills best, and of
    those that fill alike it has the fewest slots. The best T is chosen in the same way.

    Args:
        lengths: i32[N, 2] tokens and distinct images of each record.
        sizes: the T to try.
        seed: of the packing.

    Returns:
        A row for each T and M in which some record fits, by T and M.

    Raises:
        UserError: there is no record, or none fits.
    """
    if not len(lengths):
        raise UserError("no record to pack")
    table = []
    for tokens in sizes:
        here = [
            _pack(lengths, Capacity(tokens, images), seed)
            for images in slots(lengths, tokens)
            if fits(lengths, Capacity(tokens, images)).any()
        ]
        if here:
            best = choose(here)
            table += [dataclasses.replace(one, best=one is best) for one in here]
    if not table:
        raise UserError(
            f"no record fits a row of {max(sizes)} tokens; the shortest needs "
            f"{lengths[:, 0].min()}"
        )
    best = choose([one for one in table if one.best])
    return [dataclasses.replace(one, best_of_all=one is best) for one in table]


def slots(lengths: np.ndarray, tokens: int) -> list[int]:
    """The M to try for a T: around as many pictures as T tokens bring along.

    Records of 100 tokens with one picture each: slots(..., 1000) == [9, 10, 11, 12].
    """
    fit = lengths[lengths[:, 0] <= tokens]
    if not len(fit) or not fit[:, 1].any():
        return [0]
    usual = tokens * fit[:, 1].sum() / fit[:, 0].sum()
    least = int(fit[:, 1].max())  # or records would be left out for their pictures
    return sorted({max(round(usual * share), least, 1) for share in SHARES})


def choose(table: Sequence[Fill]) -> Fill:
    """The row to take, see `tabulate`."""
    fewest = min(one.too_long for one in table)
    table = [one for one in table if one.too_long == fewest]
    fullest = max(one.fill_tokens for one in table)
    alike = [one for one in table if one.fill_tokens >= fullest - _SAME]
    return min(alike, key=lambda one: (one.tokens, one.images))


def _pack(lengths, capacity, seed) -> Fill:
    made = plan(lengths, capacity, seed, 0)
    return Fill(
        tokens=capacity.tokens,
        images=capacity.images,
        fill_tokens=made.fill_tokens,
        fill_images=made.fill_images,
        too_long=len(made.too_long) / len(lengths),
    )


def lines(table: Sequence[Fill]) -> list[str]:
    """The table as text; the best M of each T has a star, the best of all two."""
    head = f"{'T':>6} {'M':>5} {'tokens used':>12} {'slots used':>11} {'too long':>9}"
    found = [head]
    for one in table:
        star = "**" if one.best_of_all else "*" if one.best else ""
        found.append(
            f"{one.tokens:6} {one.images:5} {one.fill_tokens:12.1%} "
            f"{one.fill_images:11.1%} {one.too_long:9.2%} {star}".rstrip()
        )
    best = next(one for one in table if one.best_of_all)
    found.append(
        f"best: --config.data.seq_len={best.tokens} "
        f"--config.data.max_images={best.images}, {best.fill_tokens:.1%} of the tokens "
        "are not padding"
    )
    return found
