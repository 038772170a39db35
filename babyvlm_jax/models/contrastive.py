"""Contrastive models: a tower for images, one for texts, one space for both.

CVCL (a ResNeXt and the mean of word embeddings) and CLIP are two settings of the same
modules.

Axes: B images or texts, P visual tokens an image, T tokens, D width of a tower, E
width of the shared space.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.models.config import (
    PAIR_PARTS,
    ContrastiveConfig,
    ResNeXtConfig,
    ViTConfig,
    WordsConfig,
)
from babyvlm_jax.models.decoder import Context, Decoder
from babyvlm_jax.models.layers import Linear, bind_method, bind_parameters, embed_tokens
from babyvlm_jax.models.vision import ENCODERS
from babyvlm_jax.sharding import constrain, partitioned


class Words(nn.Module):
    """Mean of the embeddings of a text's tokens, <sos> and <eos> among them."""

    cfg: WordsConfig

    @nn.compact
    def __call__(self, tokens: jax.Array, text_mask: jax.Array) -> jax.Array:
        """i32[B, T], bool[B, T] -> f32[B, D]."""
        cfg = self.cfg
        init = partitioned(nn.initializers.normal(cfg.embed_std), "vocab", None)
        table = self.param("embed", init, (cfg.padded_vocab_size, cfg.width))
        kept = embed_tokens(table, tokens) * text_mask[..., None]
        count = jnp.sum(text_mask, axis=1, keepdims=True)
        return jnp.sum(kept, axis=1) / jnp.maximum(count, 1)


class Head(nn.Module):
    """Both projections and the scale of similarities."""

    cfg: ContrastiveConfig

    def setup(self):
        cfg = self.cfg
        self.image = Linear(cfg.embed_dim, ("embed", None), cfg.image_bias)
        if not isinstance(cfg.text, WordsConfig):
            self.text = Linear(cfg.embed_dim, ("embed", None))
        self.log_scale = self._number("log_scale", -math.log(cfg.temperature))
        if cfg.loss == "siglip":
            self.bias = self._number("bias", cfg.bias)

    def _number(self, name, value):
        return self.param(name, partitioned(nn.initializers.constant(value)), ())

    def project_image(self, x: jax.Array) -> jax.Array:
        """[B, D] -> f32[B, E] of unit length."""
        return unit(self.image(x.astype(jnp.float32)))

    def project_text(self, x: jax.Array) -> jax.Array:
        """[B, D] -> f32[B, E] of unit length."""
        x = x.astype(jnp.float32)
        return unit(x if isinstance(self.cfg.text, WordsConfig) else self.text(x))

    def scales(self) -> tuple[jax.Array, jax.Array]:
        """f32[] factor of cosines, and what is added to them."""
        most = -math.log(self.cfg.least_temperature)
        bias = self.bias if self.cfg.loss == "siglip" else jnp.zeros(())
        return jnp.exp(jnp.minimum(self.log_scale, most)), bias


def unit(x: jax.Array) -> jax.Array:
    """Rows brought to length 1."""
    return x * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-24)


class Towers(nn.Module):
    """Maps images and texts to points of one space."""

    vision_cfg: ViTConfig | ResNeXtConfig
    cfg: ContrastiveConfig

    def setup(self):
        text = self.cfg.text
        self.vision = ENCODERS[type(self.vision_cfg)](self.vision_cfg)
        self.text = (Words if isinstance(text, WordsConfig) else Decoder)(text)
        self.head = Head(self.cfg)

    def embed_images(self, images: jax.Array) -> jax.Array:
        """u8 or f32[B, H, W, 3] -> f32[B, E] of unit length."""
        tokens = self.vision(constrain(images, "batch"))
        if self.cfg.pool == "cls":
            pooled = tokens[:, 0]
        else:
            pooled = jnp.mean(tokens.astype(jnp.float32), axis=1)
        return constrain(self.head.project_image(pooled), "batch", None)

    def embed_texts(self, tokens: jax.Array, text_mask: jax.Array) -> jax.Array:
        """i32[B, T], bool[B, T] True on tokens -> f32[B, E] of unit length."""
        if isinstance(self.cfg.text, WordsConfig):
            pooled = self.text(tokens, text_mask)
        else:
            positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
            context = Context(positions, text_mask.astype(jnp.int32))
            x, _ = self.text.layers(self.text.embed(tokens), context)
            last = jnp.maximum(jnp.sum(text_mask, axis=1) - 1, 0)
            pooled = jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]
        return constrain(self.head.project_text(pooled), "batch", None)

    def scales(self) -> tuple[jax.Array, jax.Array]:
        """See `Head.scales`."""
        return self.head.scales()

    def __call__(self, batch):
        """All parts at once, for initialisation."""
        return (
            self.embed_images(batch["images"]),
            self.embed_texts(batch["tokens"], batch["text_mask"]),
            self.scales(),
        )


class PairModel(NamedTuple):
    """The functions that the rest of the system knows; parameters are plain dicts.

    Attributes:
        vision, config: the architecture.
        init, param_specs, shapes: see `layers.Parameters`.
        embed_images: (params, u8 or f32[B, H, W, 3]) -> f32[B, E] of unit length.
        embed_texts: (params, tokens i32[B, T], mask bool[B, T]) -> f32[B, E], the same.
        scales: (params) -> f32[] factor of cosines, f32[] added to them.
    """

    vision: ViTConfig | ResNeXtConfig
    config: ContrastiveConfig
    init: Callable[..., Any]
    embed_images: Callable[..., jax.Array]
    embed_texts: Callable[..., jax.Array]
    scales: Callable[..., tuple[jax.Array, jax.Array]]
    param_specs: Callable[..., Any]
    shapes: Callable[..., Any]


@functools.lru_cache(maxsize=16)
def make_pair_model(
    vision: ViTConfig | ResNeXtConfig, cfg: ContrastiveConfig
) -> PairModel:
    """Binds the functions to an architecture (cached: jit caches stay warm)."""
    module = Towers(vision, cfg)

    def boxed(key, parts):
        side = vision.image_size
        batch = {
            "images": jnp.zeros((1, side, side, 3), jnp.uint8),
            "tokens": jnp.zeros((1, 2), jnp.int32),
            "text_mask": jnp.ones((1, 2), bool),
        }
        params = module.init(key, batch)["params"]
        return {name: params[name] for name in parts}

    call = functools.partial(bind_method, module)
    return PairModel(
        vision,
        cfg,
        embed_images=call("embed_images"),
        embed_texts=call("embed_texts"),
        scales=call("scales"),
        **bind_parameters(boxed, PAIR_PARTS)._asdict(),
    )
