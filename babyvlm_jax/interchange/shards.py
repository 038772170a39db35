"""Writes safetensors: one file, or shards with an index, one in memory at a time."""

import json
import math
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
from safetensors.numpy import save_file

SHARD_BYTES = 2 * 10**9
_FLOAT_BYTES = 4


def write_weights(
    folder: pathlib.Path,
    leaves: Iterable[tuple[str, np.ndarray]],
    shapes: Mapping[str, tuple[int, ...]],
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes leaves as `model.safetensors`, or as shards in transformers' naming.

    Args:
        folder: where to; it exists.
        leaves: (name, array), read once; stored as f32.
        shapes: of the same leaves in the same order.
        shard_bytes: a shard is closed before it would grow beyond this.
    """
    groups = _group(shapes, shard_bytes)
    count = len(groups)
    names = [f"model-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]
    names = ["model.safetensors"] if count == 1 else names
    leaves = iter(leaves)
    for group, name in zip(groups, names, strict=True):
        shard = {}
        for expected in group:
            leaf, array = next(leaves)
            if leaf != expected or array.shape != tuple(shapes[leaf]):
                raise ValueError(f"leaf {leaf} {array.shape} came for {expected}")
            shard[leaf] = np.asarray(array, np.float32, order="C")
        save_file(shard, folder / name, metadata={"format": "pt"})
    if count > 1:
        index = {
            "metadata": {"total_size": sum(map(_num_bytes, shapes.values()))},
            "weight_map": {
                leaf: name
                for group, name in zip(groups, names, strict=True)
                for leaf in group
            },
        }
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps(index, indent=2))


def _num_bytes(shape) -> int:
    return math.prod(shape) * _FLOAT_BYTES


def _group(shapes, shard_bytes) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    filled = 0
    for name, shape in shapes.items():
        if groups[-1] and filled + _num_bytes(shape) > shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += _num_bytes(shape)
    return groups
