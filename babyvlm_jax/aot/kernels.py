"""What a Pallas kernel of a compiled program moves between HBM and VMEM.

XLA prints a kernel as one custom call. Its grid, the blocks that it takes of each array
and the functions that choose a block are in the call's body, an MLIR module.
"""

import base64
import functools
import math
from typing import NamedTuple

from jaxlib.mlir import ir
from jaxlib.mlir.passmanager import PassManager
from jaxlib.mosaic.python import tpu

from babyvlm_jax.aot.hlo import Array, Computation, Instruction, Program

_BODY = r'"custom_call_config":\{"body":"([\w+/=]+)"'


class Window(NamedTuple):
    """The blocks of one array.

    Attributes:
        shape: of a block.
        fetches: blocks that are fetched (of a result: written back) in one run.
    """

    shape: tuple[int, ...]
    fetches: int


class Kernel(NamedTuple):
    """A kernel's arrays in the order of the call: operands, then results.

    Attributes:
        grid: steps along each axis; the last turns fastest.
        num_scalars: operands before them that are read whole, once.
    """

    grid: tuple[int, ...]
    num_scalars: int
    windows: tuple[Window, ...]


def is_kernel(instruction: Instruction) -> bool:
    """Whether a custom call is a Pallas kernel, not a mark for the compiler."""
    return (
        instruction.opcode == "custom-call"
        and 'custom_call_target="tpu_custom_call"' in instruction.attributes
    )


def names(program: Program) -> tuple[str, ...]:
    """What JAX called the kernels of a program, each once."""
    every = (one for each in program.computations.values() for one in each.values())
    return tuple(sorted({one.op_name for one in every if is_kernel(one)}))


def hbm_bytes(instruction: Instruction, computation: Computation) -> float:
    """Bytes that one run of a kernel reads from and writes to HBM, at most.

    A block is fetched when a step needs another one than the step before. Where a block
    is chosen by numbers that are data (a mask's blocks), each step counts as another.

    Raises:
        ValueError: the call has no body that can be read.
    """
    body = instruction.attribute(_BODY)
    if not body:
        raise ValueError(f"kernel {instruction.name} has no body")
    kernel = read_body(body)
    given = [
        computation[name].arrays[0]
        for name in instruction.operands[kernel.num_scalars :]
    ]
    return sum(
        _moved(array, window)
        for array, window in zip(
            [*given, *instruction.arrays], kernel.windows, strict=True
        )
    )


def _moved(array: Array, window: Window) -> float:
    if array.vmem:
        return 0.0
    share = math.prod(window.shape) / math.prod(array.dims)
    return array.size * min(share, 1.0) * window.fetches


@functools.lru_cache(maxsize=256)
def read_body(body: str) -> Kernel:
    """Reads the base64 of a kernel's module."""
    context = ir.Context()
    tpu.register_dialect(context)
    context.allow_unregistered_dialects = True
    with context, ir.Location.unknown():
        module = ir.Module.parse(base64.b64decode(body))
        PassManager.parse("builtin.module(mosaic-serde{serialize=false})").run(
            module.operation
        )
        functions = {
            ir.StringAttr(one.attributes["sym_name"]).value: one
            for one in module.body.operations
        }
        (main,) = (f for f in functions.values() if "window_params" in f.attributes)
        grid = tuple(ir.DenseI64ArrayAttr(main.attributes["iteration_bounds"]))
        windows = tuple(
            _window(ir.DictAttr(one), functions, grid)
            for one in ir.ArrayAttr(main.attributes["window_params"])
        )
        scalars = ir.IntegerAttr(main.attributes["scalar_prefetch"]).value
    return Kernel(grid, scalars, windows)


def _window(facts, functions, grid: tuple[int, ...]) -> Window:
    """A block changes with every axis up to the last that its choice depends on."""
    name = ir.FlatSymbolRefAttr(facts["transform_indices"]).value
    axes = _axes(functions[name], len(grid))
    shape = tuple(ir.DenseI64ArrayAttr(facts["window_bounds"]))
    return Window(shape, math.prod(grid[: 1 + max(axes, default=-1)]))


def _axes(function, rank: int) -> set[int]:
    """Axes of the grid that what a function returns depends on."""
    (block,) = function.regions[0].blocks
    known = {
        argument: {number} if number < rank else set()
        for number, argument in enumerate(block.arguments)
    }
    for one in block.operations:
        reached = set().union(*(known[operand] for operand in one.operands))
        if one.operation.name == "func.return":
            return reached
        known |= dict.fromkeys(one.results, reached)
    raise ValueError("a kernel's index function returns nothing")
