"""Attention kernels on this machine: do they agree, do records stay apart, how fast.

python -m tests.benchmarks.attention
python -m tests.benchmarks.attention --length=1024 --rows=1 --dtype=float32

Each kernel that runs here is held against XLA's attention on packed rows, forwards and
backwards; a kernel in which a record feels its neighbour makes the command fail. Run it
once on every new kind of accelerator before training on it.
"""

import argparse
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.models.attention import attend
from babyvlm_jax.models.config import ATTENTION
from babyvlm_jax.runtime.errors import UserError, run_main
from babyvlm_jax.sharding import make_mesh

REPEATS = 5
# Backward passes that add in any order differ by less; a record that is seen, by more.
MOST_LEAK = 1e-2


class Shape(NamedTuple):
    """What is attended to; the defaults are the published decoder's."""

    rows: int = 1
    length: int = 8192
    num_heads: int = 32
    num_kv_heads: int = 4
    head_dim: int = 64
    dtype: str = "bfloat16"


class Found(NamedTuple):
    """One kernel, forwards and backwards.

    Attributes:
        error: largest difference from XLA's outputs and gradients, as a share of the
            largest of them.
        leak: what another record changed in a record's outputs and gradients.
        milliseconds: median of the repeats.
        mebibytes: of temporary arrays, as the compiler says.
    """

    error: float
    leak: float
    milliseconds: float
    mebibytes: float


def inputs(shape: Shape, seed: int):
    """Queries, keys and values, and weights of the outputs."""
    rng = np.random.default_rng(seed)
    heads = shape.num_heads, shape.num_kv_heads, shape.num_kv_heads, shape.num_heads
    return [
        jnp.asarray(
            rng.normal(size=(shape.rows, shape.length, count, shape.head_dim)),
            shape.dtype,
        )
        for count in heads
    ]


def segments(shape: Shape) -> jax.Array:
    """Four records of unequal length a row, and padding."""
    ends = np.array([0.1, 0.5, 0.6, 0.97]) * shape.length
    places = np.arange(shape.length)
    number = 1 + (places[:, None] >= ends.astype(int)).sum(axis=1)
    ids = np.where(number <= len(ends), number, 0)
    return jnp.asarray(np.tile(ids, (shape.rows, 1)), jnp.int32)


def compiled(kernel: str, shape: Shape):
    """(q, k, v, weights, segment ids) -> [outputs, gradients of their weighed sum]."""

    def weighed(q, k, v, weights, ids):
        out = attend(q, k, v, ids, kernel=kernel)
        return jnp.sum((out * weights).astype(jnp.float32)), out

    def both(*args):
        grads, out = jax.grad(weighed, (0, 1, 2), has_aux=True)(*args)
        return [out, *grads]

    return jax.jit(both).lower(*inputs(shape, 0), segments(shape)).compile()


def measure(kernel: str, shape: Shape) -> Found:
    """One kernel against XLA's.

    Raises:
        UserError: it does not run here.
    """
    run, reference = compiled(kernel, shape), compiled("xla", shape)
    ids = segments(shape)
    third = (ids == 3)[..., None, None]
    real = (ids > 0)[..., None, None]
    *qkv, weights = inputs(shape, 0)
    ours, theirs = (one(*qkv, weights * real, ids) for one in (run, reference))
    error = max(
        _distance(a * real, b * real) for a, b in zip(ours, theirs, strict=True)
    )
    mixed = [
        jnp.where(third, own, other)
        for own, other in zip(qkv, inputs(shape, 1), strict=False)
    ]
    before, after = (run(*x, weights * third, ids) for x in (qkv, mixed))
    leak = max(
        _distance(a * third, b * third) for a, b in zip(before, after, strict=True)
    )
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        jax.block_until_ready(run(*qkv, weights, ids))
        times.append(time.perf_counter() - begin)
    memory = run.memory_analysis().temp_size_in_bytes / 2**20
    return Found(error, leak, 1e3 * float(np.median(times)), memory)


def _distance(a, b) -> float:
    a, b = (np.asarray(x, np.float32) for x in (a, b))
    return float(np.abs(a - b).max() / np.abs(b).max())


def table(shape: Shape) -> list[str]:
    """Lines of the table.

    Raises:
        UserError: a kernel in which records feel each other.
    """
    lines = [
        f"{jax.devices()[0].device_kind}, {shape}\n",
        "| kernel | error | leak | ms, forwards and backwards | temporaries, MiB |",
        "|---|---|---|---|---|",
    ]
    for kernel in ATTENTION[1:]:
        try:
            found = measure(kernel, shape)
        except UserError as why:
            lines.append(f"| {kernel} | {why} | | | |")
            continue
        lines.append(
            f"| {kernel} | {found.error:.1e} | {found.leak:.1e} | "
            f"{found.milliseconds:.2f} | {found.mebibytes:.0f} |"
        )
        if found.leak > MOST_LEAK:
            raise UserError(
                "\n".join(lines) + f"\n{kernel} lets records of a row see each other: "
                "set config.model.decoder.attention to 'xla' on this machine"
            )
    return lines


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.attention",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, default in Shape()._asdict().items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=type(default), default=default)
    shape = Shape(**vars(parser.parse_args()))
    mesh = make_mesh({"data": 1, "fsdp": 1, "tensor": 1}, jax.devices()[:1])

    def run():
        with jax.set_mesh(mesh):
            print("\n".join(table(shape)))

    run_main(run)


if __name__ == "__main__":
    main()
