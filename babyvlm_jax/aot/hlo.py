"""Reads XLA's optimised program (HLO text) as far as counting needs it.

A program is a set of computations; one calls another through a fusion, a loop or a
branch. `executions` tells how often each runs: the body of a loop as often as the loop
turns, times what its caller runs. A scan over layers is such a loop, and XLA's own
cost analysis counts its body once.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator

# bytes of one element; tokens and opaque handles have none
SIZES = {
    **dict.fromkeys(("pred", "s8", "u8", "f8e4m3fn", "f8e5m2"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64", "c64"), 8),
    **dict.fromkeys(("s4", "u4"), 0.5),
}
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^{}]*)\})?")
_CALLED = re.compile(
    r"(condition|body|calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
_COMMENT = re.compile(r"/\*index=\d+\*/")
_FAST = re.compile(r"S\([1-9]")
_ASSIGNED = re.compile(r"^ +(ROOT )?%?([\w.\-]+) = ", re.MULTILINE)
_END = re.compile(r'\}(, execution_thread="[^"]*")?')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of a shape; `vmem` where it lies in one of the chip's fast memories."""

    dtype: str
    dims: tuple[int, ...]
    vmem: bool

    @property
    def size(self) -> int:
        """Bytes, without the padding of tiles."""
        return math.ceil(SIZES.get(self.dtype, 0) * math.prod(self.dims))


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One assignment of a computation.

    Attributes:
        shape: as text, an array or a tuple.
        operands: names.
        attributes: what follows the operands; may hold line breaks.
    """

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    is_root: bool

    @functools.cached_property
    def arrays(self) -> tuple[Array, ...]:
        """All arrays of its shape."""
        return tuple(
            Array(
                dtype,
                tuple(int(n) for n in dims.split(",") if n),
                bool(_FAST.search(layout)),
            )
            for dtype, dims, layout in _ARRAY.findall(self.shape)
        )

    @property
    def size(self) -> int:
        """Bytes of all its arrays."""
        return sum(array.size for array in self.arrays)

    def attribute(self, pattern: str) -> str | None:
        """First group of a pattern in what follows the operands, or None."""
        found = re.search(pattern, self.attributes)
        return found.group(1) if found else None

    @property
    def op_name(self) -> str:
        """What JAX called it."""
        return self.attribute(r'op_name="([^"]*)"') or self.name


Computation = dict[str, Instruction]


@dataclasses.dataclass(frozen=True)
class Program:
    """Computations by name, and which of them is run."""

    computations: dict[str, Computation]
    entry: str

    def executions(self) -> dict[str, float]:
        """How often each computation runs in one run of the program.

        Every branch of a conditional counts as taken. A loop whose length is neither
        known to XLA nor a constant of its condition counts as one turn.
        """
        counts = dict.fromkeys(self.computations, 0.0)

        def visit(name: str, times: float) -> None:
            counts[name] += times
            for instruction in self.computations[name].values():
                for kind, callee in _called(instruction):
                    turns = self.trips(instruction) if kind == "body" else 1
                    visit(callee, times * (turns or 1))

        visit(self.entry, 1.0)
        return counts

    def trips(self, loop: Instruction) -> int | None:
        """Turns of a `while`, at most; None where they are not known."""
        known = _TRIPS.search(loop.attributes)
        if known:
            return int(known.group(1))
        limits = self._limits(dict(_called(loop))["condition"])
        return limits.pop() if len(limits) == 1 else None

    def _limits(self, name: str) -> set[int]:
        """Whole numbers above 1 among the constants of a condition and its fusions."""
        found = set()
        for one in self.computations[name].values():
            if one.opcode == "constant" and one.operands[:1]:
                number = one.operands[0]
                found |= (
                    {int(number)} if number.isdigit() and int(number) > 1 else set()
                )
            for _, callee in _called(one):
                found |= self._limits(callee)
        return found

    def uncounted(self) -> int:
        """Loops of unknown length."""
        return sum(
            one.opcode == "while" and self.trips(one) is None
            for computation in self.computations.values()
            for one in computation.values()
        )


def _called(instruction: Instruction) -> Iterator[tuple[str, str]]:
    """(how, computation) for each that an instruction runs."""
    for kind, name in _CALLED.findall(instruction.attributes):
        if kind != "to_apply" or instruction.opcode == "call":
            yield kind, name
    for names in _BRANCHES.findall(instruction.attributes):
        for name in filter(None, re.split(r"[\s,%]+", names)):
            yield "branch", name


def parse(text: str) -> Program:
    """Reads HLO text.

    An attribute may hold line breaks (a kernel's metadata does), so a computation ends
    at a line that is `}`, not at one that begins with it, and what assigns nothing
    continues the instruction before it.

    Raises:
        ValueError: an assignment of the text is in no computation.
    """
    computations: dict[str, list[str]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if current is None:
            head = re.match(r"(ENTRY )?%?([\w.\-]+) .*\{$", line)
            if head and not line.startswith("HloModule"):
                current = computations.setdefault(head.group(2), [])
                entry = head.group(2) if head.group(1) else entry
        elif _END.fullmatch(line):
            current = None
        elif _ASSIGNED.match(line):
            current.append(line)
        elif current:
            current[-1] += f"\n{line}"
    read = sum(map(len, computations.values()))
    written = len(_ASSIGNED.findall(text))
    if read != written:
        raise ValueError(f"read {read} of {written} assignments of the program")
    return Program(
        {
            name: {one.name: one for one in map(_instruction, lines)}
            for name, lines in computations.items()
        },
        entry,
    )


def _instruction(text: str) -> Instruction:
    head = _ASSIGNED.match(text)
    rest = _COMMENT.sub("", text[head.end() :])
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    opening = rest.index("(")
    closing = _closing(rest, opening)
    inside = rest[opening + 1 : closing]
    # operands may be written with their shapes: the name comes last
    operands = tuple(
        one.split()[-1].lstrip("%") for one in _split(inside) if one.strip()
    )
    return Instruction(
        head.group(2),
        shape,
        rest[:opening],
        operands,
        rest[closing + 1 :],
        bool(head.group(1)),
    )


def _closing(text: str, opening: int) -> int:
    """Place of the bracket that closes the one at `opening`."""
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place
    raise ValueError(f"no closing bracket in {text[:80]!r}")


def _split(text: str) -> list[str]:
    """Splits at the commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
