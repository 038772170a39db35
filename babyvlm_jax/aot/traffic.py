"""Bytes that a compiled program moves between HBM and the cores in one run.

Each instruction that runs by itself reads its operands and writes what it gives, a
fusion as one. Only the slice that a fusion takes of an operand is read, and only the
part that it updates is written, so a layer's weights count once although a loop holds
those of all layers. A kernel reads a block as often as its grid asks for it
(`kernels.py`). What lies in the chip's fast memory (VMEM) is left out, and so is
the padding of tiles.
"""

import re

from babyvlm_jax.aot import kernels
from babyvlm_jax.aot.hlo import Array, Computation, Instruction, Program

_ALIAS = re.compile(r"\{(\d+)\}: \((\d+), \{\}\)")

# These give names to what is there already, or are counted inside what they call.
FREE = frozenset(
    (
        "parameter",
        "constant",
        "tuple",
        "get-tuple-element",
        "bitcast",
        "after-all",
        "partition-id",
        "replica-id",
        "while",
        "conditional",
        "call",
        "opt-barrier",
        "iota",
    )
)


def hbm_bytes(program: Program) -> float:
    """Bytes read from and written to HBM by one chip."""
    fused = {
        instruction.attribute(r"calls=%?([\w.\-]+)")
        for computation in program.computations.values()
        for instruction in computation.values()
        if instruction.opcode == "fusion"
    }
    total = 0.0
    for name, times in program.executions().items():
        if times and name not in fused:
            computation = program.computations[name]
            total += times * sum(
                _moved(instruction, computation, program)
                for instruction in computation.values()
            )
    return total


def _moved(
    instruction: Instruction, computation: Computation, program: Program
) -> float:
    opcode = instruction.opcode
    if opcode in FREE or opcode.endswith(("-done", "-update")):
        return 0.0
    if opcode.startswith("async-"):
        return 0.0  # the computation that it starts is counted
    if kernels.is_kernel(instruction):
        return kernels.hbm_bytes(instruction, computation)
    if opcode == "custom-call":
        return 0.0  # a mark for the compiler
    if opcode == "dynamic-slice":
        return 2 * _hbm(instruction)
    if opcode == "dynamic-update-slice":
        return 2 * _hbm(computation[instruction.operands[1]])
    operands = [
        computation[name] for name in instruction.operands if name in computation
    ]
    if opcode == "fusion":
        callee = program.computations[instruction.attribute(r"calls=%?([\w.\-]+)")]
        return _fusion(instruction, operands, callee)
    written = _hbm(instruction)
    if opcode.endswith("-start"):  # gives its operands too, as part of a tuple
        written -= sum(_hbm(one) for one in operands)
    return max(written, 0) + sum(_hbm(one) for one in operands)


def _fusion(
    instruction: Instruction, operands: list[Instruction], callee: Computation
) -> float:
    users: dict[str, list[Instruction]] = {}
    for inner in callee.values():
        for name in inner.operands:
            users.setdefault(name, []).append(inner)
    parameters = {
        int(inner.operands[0]): inner
        for inner in callee.values()
        if inner.opcode == "parameter"
    }
    # What a fusion hands on as it is, such as the buffers of a collective beside it.
    aliases = _ALIAS.findall(instruction.attributes)
    passed = {int(number) for _, number in aliases}
    total = 0.0
    for number, operand in enumerate(operands):
        if number in passed:
            continue
        whole = _hbm(operand)
        uses = _uses(parameters[number].name, users) if number in parameters else []
        if uses and all(_takes_part(use, number_of) for use, number_of in uses):
            part = sum(_part(use, callee) for use, _ in uses)
            total += min(whole, part)
        else:
            total += whole
    updates = [one for one in callee.values() if one.opcode == "dynamic-update-slice"]
    written = _hbm(instruction) - sum(
        _size(instruction.arrays[int(place)]) for place, _ in aliases
    )
    if updates and written:
        in_place = sum(one.size for one in updates)
        part = sum(callee[one.operands[1]].size for one in updates)
        written = max(written - in_place, 0) + part
    return total + written


def _uses(name: str, users: dict[str, list[Instruction]]):
    """(instruction, place among its operands) of each use, looking through bitcasts."""
    found = []
    for user in users.get(name, ()):
        if user.opcode == "bitcast":
            found += _uses(user.name, users)
        else:
            found.append((user, user.operands.index(name)))
    return found


def _takes_part(use: Instruction, place: int) -> bool:
    return use.opcode in ("dynamic-slice", "dynamic-update-slice") and place == 0


def _part(use: Instruction, callee: Computation) -> int:
    """Bytes of the slice that is read; an update in place reads nothing."""
    return use.size if use.opcode == "dynamic-slice" else 0


def _hbm(instruction: Instruction) -> int:
    return sum(map(_size, instruction.arrays))


def _size(array: Array) -> int:
    return 0 if array.vmem else array.size
