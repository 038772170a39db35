"""Fills our parameter tree from named torch leaves, after checking every one.

The tree lives in files mapped into memory, so that a model never has to fit twice.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from babyvlm_jax.interchange.foreign import LARGEST
from babyvlm_jax.interchange.weights import FLOATS, Leaf
from babyvlm_jax.models.contrastive import PairModel
from babyvlm_jax.models.interop.table import Rule, Table, their_shapes
from babyvlm_jax.models.vlm import Model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.sharding import make_mesh

Shapes = Mapping[str, tuple[int, ...]]
_NO_SIZE = ("unroll", "logits_chunk")  # of the computation


def our_shapes(
    model: Model | PairModel, parts: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Path -> shape of our leaves, such as `vision/blocks/attn/q/w`."""
    mesh = make_mesh({"data": 1, "fsdp": 1, "tensor": 1}, jax.devices()[:1])
    with jax.set_mesh(mesh):
        abstract = model.shapes(tuple(parts))
    leaves, _ = jax.tree_util.tree_flatten_with_path(abstract)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in leaves
    }


def check_sizes(
    source: str, configs: Iterable[Any], leaves: Mapping[str, Leaf]
) -> None:
    """Refuses sizes that no weight here can have, before anything is as large.

    Args:
        source: where the leaves come from, for messages.
        configs: of the parts that are there.
        leaves: theirs, by torch name.

    Raises:
        UserError: a size is larger than all weights together, or there are more layers
            than weights.
    """
    elements = sum(math.prod(leaf.shape) for leaf in leaves.values())
    for config in configs:
        for field, value in dataclasses.asdict(config).items():
            limit = {"num_layers": len(leaves), "max_len": LARGEST}.get(field, elements)
            if type(value) is int and field not in _NO_SIZE and value > limit:
                raise UserError(
                    f"{source}: {field} is {value}, but its {len(leaves)} weights have "
                    f"{elements} elements; its config.json is another model's"
                )


def check(
    source: str, tables: Sequence[Table], shapes: Shapes, leaves: Mapping[str, Leaf]
) -> list[str]:
    """Compares what is there with what is needed, leaf by leaf.

    Args:
        source: where the leaves come from, for messages.
        tables: rules for all of our leaves.
        shapes: of our leaves, by path.
        leaves: theirs, by torch name.

    Returns:
        names of their leaves that are knowingly left out.

    Raises:
        UserError: a leaf is missing, has another shape, is no float, or nothing here
            knows it; the message names it.
    """
    filled = {rule.ours for table in tables for rule in table.rules}
    if set(shapes) - filled:
        raise UserError(f"{source}: no rule fills {sorted(set(shapes) - filled)[:3]}")
    expected = {}
    for table in tables:
        needed = their_shapes(table, shapes)
        expected |= {k: v for k, v in needed.items() if k not in table.constants}
        _check_constants(source, table, leaves)
    missing = [name for name in expected if name not in leaves]
    if missing:
        raise UserError(
            f"{source} lacks {len(missing)} of {len(expected)} weights, the first "
            f"{missing[0]!r}; it is not whole, or its config.json is another model's"
        )
    for name, shape in expected.items():
        if leaves[name].shape != shape:
            raise UserError(
                f"{source}: {name!r} has shape {list(leaves[name].shape)}, expected "
                f"{list(shape)}; its config.json is another model's"
            )
        if leaves[name].dtype not in FLOATS:
            raise UserError(
                f"{source}: {name!r} has the type {leaves[name].dtype}, expected one "
                f"of {', '.join(FLOATS)}"
            )
    rest = [name for name in leaves if name not in expected]
    unknown = [name for name in rest if not any(_leaves_out(t, name) for t in tables)]
    if unknown:
        raise UserError(
            f"{source} holds {len(unknown)} weights that have no place in this "
            f"architecture, the first {unknown[0]!r}"
        )
    return rest


def _leaves_out(table: Table, name: str) -> bool:
    return table.ignores(name) or name in table.constants


def _check_constants(source, table, leaves) -> None:
    for name, value in table.constants.items():
        if name in leaves and not (
            leaves[name].shape == value.shape
            and np.allclose(leaves[name].read(), value, atol=1e-4)  # f16 rounds them
        ):
            raise UserError(
                f"{source}: {name!r} differs from what the architecture computes; "
                "was it trained?"
            )


def fill(
    tables: Sequence[Table],
    shapes: Shapes,
    leaves: Mapping[str, Leaf],
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Reads their leaves into our tree, one layer's leaf at a time.

    Args:
        tables, shapes, leaves: as `check` found them good.
        folder: gets the files that the tree is mapped to; delete it afterwards.

    Returns:
        The parameters, nested, f32.
    """
    flat = {}
    rules = [(table, rule) for table in tables for rule in table.rules]
    for number, (table, rule) in enumerate(rules):
        out = _mapped(folder / str(number), shapes[rule.ours])
        for layer in table.layers(rule):
            piece = _piece(rule, leaves[rule.name(layer)].read())
            out[layer if rule.stacked else ...] = piece
        flat[rule.ours] = out
    return nested(flat)


def _piece(rule: Rule, leaf: np.ndarray) -> np.ndarray:
    part, count = rule.part
    if count > 1:
        leaf = np.split(leaf, count, rule.axis)[part]
    return rule.transform.to_ours(leaf)


def _mapped(path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
    if not math.prod(shape):
        return np.zeros(shape, np.float32)
    return np.memmap(path, np.float32, "w+", shape=shape)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a/b": 1} -> {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *parents, last = path.split("/")
        room = tree
        for parent in parents:
            room = room.setdefault(parent, {})
        room[last] = leaf
    return tree
