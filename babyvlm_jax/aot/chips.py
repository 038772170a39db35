"""Published facts of TPU chips, and the slices that can be named.

No figure here was measured: rooflines drawn from them are bounds, not promises.
"""

import dataclasses
import math

from babyvlm_jax.runtime.errors import UserError

GB = 10**9
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One TPU chip; XLA sees it as one device.

    Attributes:
        name: as in a topology, `v5e` in `v5e:4x4`.
        cloud: what Cloud's accelerator types begin with, `v5litepod` in `v5litepod-16`.
        cores: by which Cloud counts a slice of v4 or v5p; 1 where it counts chips.
        flops: peak bf16 FLOP/s.
        hbm_limit: GiB that XLA lets a program use.
        hbm: bytes/s of HBM.
        ici: bytes/s to its neighbours in the slice, one way, over all links.
        dcn: bytes/s to other slices, one way; 0 where none is published.
        shapes: slices that can be had.
    """

    name: str
    cloud: str
    cores: int
    flops: float
    hbm_limit: float
    hbm: float
    ici: float
    dcn: float
    shapes: tuple[str, ...]


FLAT = ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")

# Peak, HBM, interconnect: docs.cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}, which give
# the interconnect of a chip in both directions together; one way is half of it. v4's:
# 6 links of 50 GB/s (Jouppi et al., arXiv 2304.01433, table 4). v5e's data center
# network: 6.4 Tbit/s a pod of 256; v5p's: 50 Gbit/s a chip; the others' is not given.
# `hbm_limit` is what libtpu names when a program is too large ("Used ... of 15.75G").
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", "v4", 2, 275e12, 30.75, 1200e9, 300e9, 0, CUBES),
        Chip("v5e", "v5litepod", 1, 197e12, 15.75, 819e9, 200e9, 3.125e9, FLAT),
        Chip("v5p", "v5p", 2, 459e12, 95.74, 2765e9, 600e9, 6.25e9, CUBES),
        Chip("v6e", "v6e", 1, 918e12, 31.25, 1638e9, 400e9, 0, FLAT),
    )
}


@dataclasses.dataclass(frozen=True)
class Slice:
    """Chips joined by one interconnect, `count` times over the data center's network.

    Attributes:
        chip: what it is made of.
        shape: `4x4`.
        count: slices.
    """

    chip: Chip
    shape: str
    count: int = 1

    @property
    def topology(self) -> str:
        """`v5e:4x4`, as libtpu calls one of the slices."""
        return f"{self.chip.name}:{self.shape}"

    @property
    def chips_each(self) -> int:
        """Chips of one slice."""
        return math.prod(int(side) for side in self.shape.split("x"))

    @property
    def num_chips(self) -> int:
        """Chips of all slices."""
        return self.count * self.chips_each

    @property
    def name(self) -> str:
        """`v5litepod-16`, as Cloud calls it; `2 x v5litepod-256`."""
        one = f"{self.chip.cloud}-{self.chips_each * self.chip.cores}"
        return one if self.count == 1 else f"{self.count} x {one}"


def parse_slice(topology: str, count: int = 1) -> Slice:
    """`v5e:4x4`, or Cloud's `v5litepod-16`, -> the slice.

    Raises:
        UserError: no such slice; the message lists those known.
    """
    known = {
        name: one
        for chip in CHIPS.values()
        for shape in chip.shapes
        for one in [Slice(chip, shape, count)]
        for name in (one.topology, Slice(chip, shape).name)
    }
    if topology not in known:
        names = [f"{chip.name}:{{{','.join(chip.shapes)}}}" for chip in CHIPS.values()]
        raise UserError(
            f"--topology={topology!r} is not a slice that can be had; known are "
            f"{' '.join(names)}, or Cloud's names, such as v5litepod-16"
        )
    if count < 1:
        raise UserError(f"--slices={count}; give 1 or more")
    return known[topology]
