"""Declarative tables between torch checkpoints and our parameter trees.

A table lists rules (torch name, our path, transform); one rule serves all layers,
because ours are stacked along a leading axis. The same table imports, exports, and
maps gradients. Arrays are numpy's; no torch here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Transform(NamedTuple):
    """One layer's leaf, from their layout to ours and back; both are linear."""

    to_ours: Callable[[Array], Array]
    to_theirs: Callable[[Array], Array]


SAME = Transform(lambda a: a, lambda a: a)
TRANSPOSE = Transform(np.transpose, np.transpose)  # torch's Linear is [out, in]
UNBATCH = Transform(lambda a: a[0], lambda a: a[None])  # [1, P, D] <-> [P, D]


def conv(window: int) -> Transform:
    """Kernel [out, in, window, window] <-> matrix [window^2 in, out]."""
    return Transform(
        lambda a: a.transpose(2, 3, 1, 0).reshape(-1, a.shape[0]),
        lambda a: a.reshape(window, window, -1, a.shape[-1]).transpose(3, 2, 0, 1),
    )


def vocabulary(size: int, padded: int, transpose: bool = False) -> Transform:
    """Table [size, D] <-> ours with zero rows up to `padded`, perhaps transposed."""

    def to_ours(a):
        grown = np.pad(a, ((0, padded - size), (0, 0)))
        return grown.T if transpose else grown

    def to_theirs(a):
        return (a.T if transpose else a)[:size]

    return Transform(to_ours, to_theirs)


class Rule(NamedTuple):
    """Where one of our leaves comes from.

    Attributes:
        theirs: torch name; `{layer}` stands for the layer's number.
        ours: path of our leaf; stacked over layers where `theirs` has `{layer}`.
        transform: of one layer's leaf.
        part: (k, n): our leaf is the k-th of n equal parts of theirs (fused q, k, v).
        axis: of their leaf, along which the parts lie.
    """

    theirs: str
    ours: str
    transform: Transform = SAME
    part: tuple[int, int] = (0, 1)
    axis: int = 0

    def name(self, layer: int) -> str:
        """Torch name of a layer's leaf."""
        return self.theirs.replace("{layer}", str(layer))

    @property
    def stacked(self) -> bool:
        return "{layer}" in self.theirs


class Table(NamedTuple):
    """All leaves of a model part.

    Attributes:
        rules: every one of our leaves once; parts of a fused leaf in their order.
        num_layers: layers that rules with `{layer}` run over.
        ignored: patterns (full match) of torch names that hold nothing we need.
        constants: torch name -> value of what they store and we compute.
    """

    rules: tuple[Rule, ...]
    num_layers: int = 0
    ignored: tuple[str, ...] = ()
    constants: Mapping[str, Array] = {}

    def ignores(self, name: str) -> bool:
        """Whether a torch name is known and left out."""
        return any(re.fullmatch(pattern, name) for pattern in self.ignored)

    def layers(self, rule: Rule) -> range:
        """Layers that a rule runs over; one for what is not stacked."""
        return range(self.num_layers if rule.stacked else 1)


def linear(theirs: str, ours: str, bias: bool = True) -> tuple[Rule, ...]:
    """Rules of torch's Linear: `{theirs}.weight` [out, in] and `.bias`."""
    weight = Rule(f"{theirs}.weight", f"{ours}/w", TRANSPOSE)
    return (weight, Rule(f"{theirs}.bias", f"{ours}/b"))[: 1 + bias]


def norm(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of torch's LayerNorm."""
    return (
        Rule(f"{theirs}.weight", f"{ours}/scale"),
        Rule(f"{theirs}.bias", f"{ours}/bias"),
    )


def prefixed(table: Table, theirs: str = "", ours: str = "") -> Table:
    """The same table below other roots, such as `model.vision_tower.`, `vision/`."""
    rules = tuple(
        rule._replace(theirs=theirs + rule.theirs, ours=ours + rule.ours)
        for rule in table.rules
    )
    return table._replace(
        rules=rules,
        ignored=tuple(re.escape(theirs) + pattern for pattern in table.ignored),
        constants={theirs + name: value for name, value in table.constants.items()},
    )


def to_ours(table: Table, read: Callable[[str], Array]) -> Iterator[tuple[str, Array]]:
    """Our leaves, one at a time.

    Args:
        read: torch name -> array; a fused leaf is read once for each of its parts.

    Yields:
        path and array, stacked over layers where ours is.
    """
    for rule in table.rules:
        pieces = [_piece(rule, read(rule.name(i))) for i in table.layers(rule)]
        yield rule.ours, np.stack(pieces) if rule.stacked else pieces[0]


def to_theirs(
    table: Table, read: Callable[[str], Array]
) -> Iterator[tuple[str, Array]]:
    """Their leaves, one at a time, and their constants.

    Args:
        read: our path -> array.
    """
    for fused in _fused(table):
        for layer in table.layers(fused[0]):
            pieces = [
                rule.transform.to_theirs(
                    read(rule.ours)[layer] if rule.stacked else read(rule.ours)
                )
                for rule in fused
            ]
            whole = np.concatenate(pieces, fused[0].axis) if fused[1:] else pieces[0]
            yield fused[0].name(layer), whole
    yield from table.constants.items()


def their_shapes(
    table: Table, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Torch name -> shape that fits our leaves, without holding any of them.

    Args:
        shapes: our path -> shape, as `jax.eval_shape` tells.
    """
    empty = np.zeros((), np.int8)
    found = to_theirs(table, lambda path: np.broadcast_to(empty, shapes[path]))
    return {name: leaf.shape for name, leaf in found}


def _piece(rule: Rule, leaf: Array) -> Array:
    number, count = rule.part
    if count > 1:
        leaf = np.split(leaf, count, rule.axis)[number]
    return rule.transform.to_ours(leaf)


def _fused(table: Table) -> list[list[Rule]]:
    """Rules that share a torch leaf, in the order of their parts."""
    groups: dict[str, list[Rule]] = {}
    for rule in table.rules:
        groups.setdefault(rule.theirs, []).append(rule)
    return [sorted(group, key=lambda rule: rule.part) for group in groups.values()]
