"""Vision encoders among torch leaves, told by their names and shapes."""

import functools
import itertools
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from babyvlm_jax.interchange.weights import Leaf
from babyvlm_jax.models.config import ResNeXtConfig, ViTConfig
from babyvlm_jax.models.interop.encoders import NAMES, Names
from babyvlm_jax.runtime.errors import UserError

HEAD_WIDTH = 64  # of every published ViT, which do not store their number of heads
LAYER_SCALE = 1e-5  # BabyVLM-V2's encoder; only an initial value
TIMM_REGISTERS = "reg_token"
RESNEXT_MARK = "layer1.0.conv2.weight"


class Tower(NamedTuple):
    """A vision encoder among leaves.

    Attributes:
        prefix: what stands before the names of the library, such as
            `module.backbone.`.
        library: one of `NAMES`, or torchvision for a ResNeXt.
        config: of the encoder.
    """

    prefix: str
    library: str
    config: ViTConfig | ResNeXtConfig


def find_tower(
    source: str, leaves: Mapping[str, Leaf], num_heads: int = 0, **fields
) -> Tower:
    """Finds the encoder.

    Args:
        source: where the leaves come from, for messages.
        leaves: by torch name; others may be among them.
        num_heads: 0 means width / 64.
        fields: of the encoder's config, such as `dtype`.

    Raises:
        UserError: there is none of a known library, or its sizes fit together badly.
    """
    resnext = _prefix_of(RESNEXT_MARK, leaves)
    if resnext is not None:
        return Tower(resnext, "torchvision", _resnext(source, leaves, resnext, fields))
    for library, names in NAMES.items():
        prefix = _prefix_of(f"{names.patch}.weight", leaves)
        if prefix is not None and _are_named(names, prefix, leaves):
            config = _vit(source, leaves, prefix, names, num_heads, fields)
            return Tower(prefix, library, config)
    raise UserError(
        f"{source} has no vision encoder that is known here: a ViT named as in "
        f"{', '.join(NAMES)}, or torchvision's ResNeXt; its first weights are "
        f"{list(leaves)[:3]}"
    )


def _are_named(names: Names, prefix: str, leaves) -> bool:
    """Whether the first layer, and registers if there are any, go by these names."""
    query = names.qkv[0] if len(names.qkv) == 2 else f"{names.qkv[0]}.weight"
    inner = (f"{names.norm1}.weight", query, f"{names.up}.weight")
    first = [f"{prefix}{names.layer}.{name}".replace("{layer}", "0") for name in inner]
    registers = any(leaf.endswith("register_tokens") for leaf in leaves)
    return all(name in leaves for name in first) and (
        bool(names.registers) or not registers
    )


def _prefix_of(name: str, leaves) -> str | None:
    """What precedes a name, the shortest; None if no leaf ends with it."""
    found = [leaf for leaf in leaves if leaf == name or leaf.endswith(f".{name}")]
    return min(found, key=len).removesuffix(name) if found else None


def _vit(source, leaves, prefix, names, num_heads, fields) -> ViTConfig:
    shape = functools.partial(shape_of, source, leaves)
    width, _, patch, _ = shape(f"{prefix}{names.patch}.weight", 4)
    up = f"{prefix}{names.layer}.{names.up}.weight".replace("{layer}", "0")
    if prefix + names.positions not in leaves:
        raise UserError(f"{source} lacks {prefix + names.positions!r}")
    if prefix + TIMM_REGISTERS in leaves:
        raise UserError(
            f"{source} has {prefix + TIMM_REGISTERS!r}: timm's register tokens have "
            "positions of their own, or CLS has none; only DINOv2's own layout "
            "('register_tokens') is known here"
        )
    side = math.isqrt(max(0, shape(prefix + names.positions, 3)[1] - 1))
    registers = names.registers and prefix + names.registers in leaves
    scales = names.scales and any(leaf.endswith(names.scales[0]) for leaf in leaves)
    return ViTConfig(
        image_size=side * patch,
        patch_size=patch,
        width=width,
        num_layers=count_layers(leaves, prefix + names.layer),
        num_heads=num_heads or max(1, width // HEAD_WIDTH),
        mlp_dim=shape(up, 2)[0],
        layer_scale=LAYER_SCALE if scales else 0.0,
        num_registers=shape(prefix + names.registers, 3)[1] if registers else 0,
        **fields,
    )


def _resnext(source, leaves, prefix, fields) -> ResNeXtConfig:
    shape = functools.partial(shape_of, source, leaves)
    numbers = range(1, 5)
    stem = shape(f"{prefix}conv1.weight", 4)[0]
    inner, group_width = shape(prefix + RESNEXT_MARK, 4)[:2]
    return ResNeXtConfig(
        stem_width=stem,
        groups=inner // group_width,
        group_width=group_width,
        expansion=shape(f"{prefix}layer1.0.conv3.weight", 4)[0] // stem,
        stages=tuple(
            count_layers(leaves, f"{prefix}layer{n}.{{layer}}") for n in numbers
        ),
        **fields,
    )


def count_layers(leaves: Mapping[str, Leaf], layer: str) -> int:
    """Number of layers named by a pattern such as `blocks.{layer}`, from 0 on."""
    pattern = re.compile(re.escape(layer).replace(r"\{layer\}", r"(\d{1,9})") + r"\..*")
    found = {int(match[1]) for name in leaves if (match := pattern.match(name))}
    return next(number for number in itertools.count() if number not in found)


def shape_of(
    source: str, leaves: Mapping[str, Leaf], name: str, num_dims: int
) -> tuple[int, ...]:
    """The shape of a leaf that says how large the model is.

    Raises:
        UserError: it is not there, or has other dimensions or none.
    """
    if name not in leaves:
        raise UserError(f"{source} lacks {name!r}")
    shape = leaves[name].shape
    if len(shape) != num_dims or not all(shape):
        raise UserError(
            f"{source}: {name!r} has shape {list(shape)}, expected {num_dims} "
            "dimensions, none of them 0"
        )
    return shape
