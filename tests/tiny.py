"""Tiny models, hand-made rows and a work bench for them; many tests share these.

Everything that compiles is cached, because compiling is what such tests cost.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from babyvlm_jax import sharding
from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.rows import Example, RowShape, collate
from babyvlm_jax.models.config import (
    ConnectorConfig,
    DecoderConfig,
    GPT2Config,
    ResNeXtConfig,
    ViTConfig,
    VLMConfig,
)
from babyvlm_jax.models.vlm import Model, make_model

VOCAB = 100
SOS = 2

VISION = ViTConfig(
    image_size=8,
    patch_size=4,
    width=16,
    num_layers=1,
    num_heads=2,
    mlp_dim=32,
    dtype="float32",
    remat="none",
)
DECODER = DecoderConfig(
    vocab_size=VOCAB,
    width=32,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    mlp_dim=48,
    dtype="float32",
    remat="none",
)

RESNEXT = ResNeXtConfig(
    image_size=8,
    stages=(1, 1),
    stem_width=8,
    groups=4,
    group_width=2,
    dtype="float32",
    remat="none",
)
GPT2 = GPT2Config(
    vocab_size=VOCAB,
    width=32,
    num_layers=2,
    num_heads=4,
    mlp_dim=48,
    max_len=64,
    dtype="float32",
    remat="none",
)

# "official": the published form, small. "nursery": every option of the nursery's.
# "v1": ResNeXt and GPT-2.
FORMS = {
    "official": VLMConfig(VISION, ConnectorConfig(hidden_dim=32), DECODER),
    "nursery": VLMConfig(
        ViTConfig(**{**vars(VISION), "stem": "conv", "stem_channels": 16}),
        ConnectorConfig(hidden_dim=32, tokens_per_image=1, num_ordinals=4),
        DecoderConfig(
            **{**vars(DECODER), "rope_fraction": 0.5, "qk_norm": True, "tied": True}
        ),
    ),
    "v1": VLMConfig(RESNEXT, ConnectorConfig(hidden_dim=32), GPT2),
}


class Bench(NamedTuple):
    """A model with weights, on one device."""

    model: Model
    params: Any
    forward: Any
    prefill: Any
    decode_step: Any


def mesh_of(data: int = 1, fsdp: int = 1, tensor: int = 1) -> jax.sharding.Mesh:
    """Mesh over the first devices of the machine."""
    sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
    return sharding.make_mesh(sizes, jax.local_devices()[: data * fsdp * tensor])


@functools.lru_cache
def bench(form: str) -> Bench:
    """Weights and jitted functions of a form; call them under `mesh_of()`."""
    model = make_model(FORMS[form])
    with jax.set_mesh(mesh_of()):
        params = jax.jit(model.init)(jax.random.key(0))
    # Fresh embeddings are so small that a model hardly tells tokens apart.
    params["decoder"]["embed"] *= 50.0
    return Bench(
        model,
        params,
        jax.jit(model.forward),
        jax.jit(model.prefill, static_argnums=2),
        jax.jit(model.decode_step),
    )


def example(seed: int, num_words: int, num_images: int, config: VLMConfig) -> Example:
    """A record: <sos>, its pictures, then words that are all supervised."""
    rng = np.random.default_rng(seed)
    visual = np.arange(num_images * config.tokens_per_image)
    words = rng.integers(4, VOCAB, num_words)
    ids = np.concatenate([[SOS], 0 * visual, words]).astype(np.int32)
    mask = np.arange(1, len(ids)) > len(visual)
    index = np.concatenate([[-1], visual, np.full(num_words, -1)]).astype(np.int32)
    side = config.vision.image_size
    images = rng.integers(0, 256, (num_images, side, side, 3)).astype(np.uint8)
    encoded = Encoded(f"r{seed}", ids[:-1], ids[1:], mask, index[:-1], ())
    return Example(encoded, images)


def rows(groups, config: VLMConfig, seq_len: int, max_images: int):
    """Groups of examples -> a row batch."""
    side = config.vision.image_size
    shape = RowShape(seq_len, max_images, side, config.tokens_per_image)
    return collate(groups, shape)


def random_rows(config: VLMConfig, seed: int, num_rows: int = 8):
    """Rows of one or two records with unequal numbers of supervised tokens."""
    rng = np.random.default_rng(seed)
    groups = [
        [
            example(1000 * seed + 10 * row + k, int(rng.integers(2, 6)), 1, config)
            for k in range(rng.integers(1, 3))
        ]
        for row in range(num_rows)
    ]
    return rows(groups, config, seq_len=24, max_images=2)


def count(tree) -> int:
    """Numbers in a tree of arrays or shapes."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))
