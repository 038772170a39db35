"""Collectives of a compiled program: how many, of what size, over which network."""

import collections
import itertools
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from babyvlm_jax.aot.hlo import Computation, Instruction, Program

KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
_IOTA = re.compile(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_NAMED = re.compile(
    r"replica_groups=mesh\[([^\]]*)\]"
    r"(?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? \{([^}]*)\}"
)
_LISTED = re.compile(r"replica_groups=\{(\{[\d,{}\s]*\})\}")
_PAIRS = re.compile(r"source_target_pairs=\{(\{[\d,{}\s]*\})\}")


class Collective(NamedTuple):
    """One collective of the program.

    Attributes:
        size: bytes of the whole: what an all-gather gives, what a reduce-scatter or
            an all-reduce is given.
        ways: chips that take part together.
        times: runs in one step.
        crosses: whether it leaves the slice.
        source: what JAX called it.
    """

    kind: str
    size: int
    ways: int
    times: float
    crosses: bool
    source: str

    @property
    def received(self) -> float:
        """Bytes that a chip receives in one step, by the ring algorithm."""
        share = (self.ways - 1) / self.ways
        factor = {"all-reduce": 2 * share, "collective-permute": 1.0}
        return self.times * self.size * factor.get(self.kind, share)


def find_collectives(program: Program, chips_each: int) -> list[Collective]:
    """Every collective that runs, once per place in the program.

    XLA may spread one over several fusions, so that it runs beside their work; these
    parts bear the same channel and a chain's name, and count once.

    Args:
        chips_each: chips of one slice; the program numbers them slice by slice.
    """
    found, chains = [], set()
    for name, times in program.executions().items():
        computation = program.computations[name]
        for instruction in computation.values() if times else ():
            kind = instruction.opcode.removesuffix("-start")
            if kind in KINDS and not _seen(instruction, chains):
                found.append(
                    _collective(kind, instruction, computation, times, chips_each)
                )
    return found


def _seen(instruction: Instruction, chains: set[str]) -> bool:
    """Whether another part of this collective was met; notes this one."""
    if 'chain_id="' not in instruction.attributes:
        return False
    channel = instruction.attribute(r"channel_id=(\d+)")
    known = channel in chains
    chains.add(channel)
    return known


def _collective(
    kind: str,
    instruction: Instruction,
    computation: Computation,
    times: float,
    chips_each: int,
) -> Collective:
    groups = read_groups(instruction.attributes)
    ways = 1 if kind == "collective-permute" else groups.shape[1]
    given = sum(computation[operand].size for operand in instruction.operands)
    size = given * ways if kind == "all-gather" else given
    slices = groups // chips_each
    crosses = bool(np.any(slices != slices[:, :1]))
    return Collective(kind, size, ways, times, crosses, instruction.op_name)


def read_groups(attributes: str) -> np.ndarray:
    """Which chips take part together: i64[groups, chips].

    `[2,3]<=[6]` is {0,1,2},{3,4,5}; `[2,3]<=[3,2]T(1,0)` is {0,2,4},{1,3,5}, and so is
    `mesh['a'=3,'b'=2] {'a'}`; `mesh['a'=4] {'a':(2)2}` reads its axis as 2 x 2 and
    takes the latter: {0,1},{2,3}. The pairs of a permutation are groups of two.

    Raises:
        ValueError: a notation that is not known here.
    """
    named = _NAMED.search(attributes)
    if named:
        return _named_groups(*named.groups())
    iota = _IOTA.search(attributes)
    if iota:
        rows, columns, dims, order = iota.groups()
        dims = [int(n) for n in dims.split(",")]
        ids = np.arange(math.prod(dims)).reshape(dims)
        if order:
            ids = ids.transpose([int(n) for n in order.split(",")])
        return ids.reshape(int(rows), int(columns))
    listed = _LISTED.search(attributes) or _PAIRS.search(attributes)
    if not listed:
        raise ValueError(f"unknown notation of groups: {attributes[:200]}")
    groups = re.findall(r"\{([\d,\s]+)\}", listed.group(1))
    return np.array([[int(n) for n in group.split(",")] for group in groups])


def _named_groups(mesh: str, ids: str | None, order: str | None, axes: str):
    sizes = {
        name.strip("'"): int(size)
        for name, size in (axis.split("=") for axis in mesh.split(","))
    }
    chips = np.arange(math.prod(sizes.values()))
    if ids:
        chips = chips.reshape([int(n) for n in ids.split(",")])
    if order:
        chips = chips.transpose([int(n) for n in order.split(",")])
    used = [_span(axis, sizes) for axis in axes.split(",")]
    # each axis is cut where a part of it that is used begins or ends
    dims = {}  # (axis, product of what lies before in it) -> size
    for name, size in sizes.items():
        edges = {
            1,
            size,
            *(cut for axis, *both in used for cut in both if axis == name),
        }
        for low, high in itertools.pairwise(sorted(edges)):
            dims[name, low] = high // low
    places = {key: place for place, key in enumerate(dims)}
    together = [
        place
        for axis, low, high in used
        for (name, before), place in places.items()
        if name == axis and low <= before < high
    ]
    apart = [place for place in range(len(dims)) if place not in together]
    ways = math.prod(high // low for _, low, high in used)
    grid = chips.reshape([*dims.values()])
    return grid.transpose(apart + together).reshape(-1, ways)


def _span(axis: str, sizes: dict[str, int]) -> tuple[str, int, int]:
    """`'a'` is all of an axis; `'a':(2)4` the 4 behind its first 2: (a, 2, 8)."""
    name, _, part = axis.strip().partition(":")
    name = name.strip("'")
    given = re.fullmatch(r"\((\d+)\)(\d+)", part or f"(1){sizes.get(name, 0)}")
    if name not in sizes or not given:
        raise ValueError(f"unknown notation of groups: {axis} of {sizes}")
    before, size = map(int, given.groups())
    return name, before, before * size


class Total(NamedTuple):
    """Collectives of one kind: how often, whole bytes, bytes that a chip receives."""

    times: float
    size: float
    received: float


def by_kind(found: Iterable[Collective]) -> dict[str, Total]:
    """Sums of each kind over one step; those that leave the slice apart."""
    groups = collections.defaultdict(list)
    for one in found:
        groups[f"{one.kind} (between slices)" if one.crosses else one.kind].append(one)
    return {
        kind: Total(
            sum(one.times for one in ones),
            sum(one.times * one.size for one in ones),
            sum(one.received for one in ones),
        )
        for kind, ones in sorted(groups.items())
    }


def received(found: Iterable[Collective], crosses: bool) -> float:
    """Bytes that a chip receives in one step, within its slice or from others."""
    return sum(one.received for one in found if one.crosses == crosses)
