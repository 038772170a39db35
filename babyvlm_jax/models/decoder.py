"""The decoder: causal within records, with a key/value cache.

One module by config. Of the Llama family: RMSNorm, rotary positions, grouped heads, a
gated MLP, no biases. Of the GPT-2 family: LayerNorm, positions added to the inputs,
biases; its layers with another activation are those of CLIP's text tower. BabyLLaVA's
original GPT-2 trains with dropout .15; ours has none.

Axes: B batch, T query, S key, D width, N query heads, K kv heads, H head width,
F mlp, V padded vocabulary, L layers.

Source: Llama and GPT-2 as transformers has them; sizes of BabyLLaVA (BabyVLM V1, arXiv
2504.09426).
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.models.attention import attend, rope
from babyvlm_jax.models.config import DecoderConfig, GPT2Config
from babyvlm_jax.models.layers import (
    LayerNorm,
    Linear,
    Mlp,
    RMSNorm,
    embed_init,
    embed_tokens,
    fan_in_init,
    remat,
    vocabulary_scores,
)
from babyvlm_jax.sharding import constrain, partitioned


class Context(NamedTuple):
    """What every layer needs beside its input.

    Attributes:
        positions: i32[B, T] of the inputs.
        segment_ids: i32[B, T], or None for one token a row behind a cache.
        lengths: i32[B] entries of the cache in use, or None without a cache.
    """

    positions: jax.Array
    segment_ids: jax.Array | None = None
    lengths: jax.Array | None = None


def extend_cache(cache, k, v, context: Context):
    """Keys and values to attend to: those given, or the cache with them written in.

    What does not fit into the cache is dropped.

    Args:
        cache: (k, v), each [B, S, K, H], or None.
        k, v: [B, T, K, H], to be written from `context.lengths` on.
    """
    if cache is None:
        return k, v
    rows = jnp.arange(k.shape[0])[:, None]
    slots = context.lengths[:, None] + jnp.arange(k.shape[1])
    return tuple(
        old.at[rows, slots].set(new, mode="drop")
        for old, new in zip(cache, (k, v), strict=True)
    )


def scan_blocks(block: type[nn.Module], cfg):
    """The block class repeated over layers, weights and caches stacked.

    Args:
        block: called with x, the context and its layer's cache.
        cfg: names `num_layers`, `remat` and `unroll`.
    """
    return nn.scan(
        remat(block, cfg.remat),
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=(nn.broadcast, 0),
        length=cfg.num_layers,
        unroll=cfg.unroll,
        metadata_params={nn.PARTITION_NAME: "layers"},
    )


def sinusoids(num_positions: int, width: int) -> np.ndarray:
    """f32[num_positions, width]: sine in even, cosine in odd columns.

    Columns 2i and 2i + 1 hold the sine and cosine of p / 10000^(2i / width).

    Source: Attention Is All You Need (arXiv 1706.03762); the base is BabyLLaVA-V2's.
    """
    rates = 10000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(num_positions)[:, None] * rates
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return table.reshape(num_positions, -1)[:, :width].astype(np.float32)


def is_llama(cfg: DecoderConfig | GPT2Config) -> bool:
    """Whether a decoder is of the Llama family."""
    return isinstance(cfg, DecoderConfig)


def norm(cfg: DecoderConfig | GPT2Config, name: str | None = None) -> nn.Module:
    """The family's norm."""
    return (RMSNorm if is_llama(cfg) else LayerNorm)(cfg.norm_eps, name=name)


class Attention(nn.Module):
    """Grouped-query attention; rotary positions in the Llama family."""

    cfg: DecoderConfig | GPT2Config

    @nn.compact
    def __call__(self, x, context: Context, cache):
        """[B, T, D], (k, v [B, S, K, H]) or None -> [B, T, D], (k, v).

        Without a cache the returned keys and values are those of x; with one, they
        are the cache with those of x written from `lengths` on.
        """
        cfg, bias = self.cfg, not is_llama(self.cfg)
        q_dim, kv_dim = cfg.num_heads * cfg.head_dim, cfg.num_kv_heads * cfg.head_dim
        kv_names = ("embed", "kv_heads" if is_llama(cfg) else "heads")
        q = Linear(q_dim, ("embed", "heads"), bias, name="q")(x)
        k = Linear(kv_dim, kv_names, bias, name="k")(x)
        v = Linear(kv_dim, kv_names, bias, name="v")(x)
        q, k, v = (y.reshape(*y.shape[:2], -1, cfg.head_dim) for y in (q, k, v))
        if is_llama(cfg):
            if cfg.qk_norm:
                q = RMSNorm(cfg.norm_eps, name="q_norm")(q)
                k = RMSNorm(cfg.norm_eps, name="k_norm")(k)
            places = context.positions, cfg.rope_theta, cfg.rotary_dim
            q, k = rope(q, *places), rope(k, *places)
        k, v = extend_cache(cache, k, v, context)
        y = attend(q, k, v, context.segment_ids, context.lengths, cfg.attention)
        y = y.reshape(*x.shape[:2], q_dim)
        return Linear(cfg.width, ("heads", "embed"), bias, name="o")(y), (k, v)


class SwiGLU(nn.Module):
    """down(silu(gate x) * up x)."""

    cfg: DecoderConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, T, D] -> [B, T, D]."""
        gate = Linear(self.cfg.mlp_dim, ("embed", "mlp"), name="gate")(x)
        up = Linear(self.cfg.mlp_dim, ("embed", "mlp"), name="up")(x)
        return Linear(self.cfg.width, ("mlp", "embed"), name="down")(nn.silu(gate) * up)


class Block(nn.Module):
    """One pre-norm layer, in the form that `nn.scan` wants."""

    cfg: DecoderConfig | GPT2Config
    keep_cache: bool

    @nn.compact
    def __call__(self, x, context: Context, cache):
        """[B, T, D] -> [B, T, D], and keys and values if `keep_cache`."""
        cfg = self.cfg
        attention, norm1 = Attention(cfg, name="attn"), norm(cfg, "norm1")
        y, cache = attention(norm1(x), context, cache)
        x += y
        mlp = (
            SwiGLU(cfg, name="mlp")
            if is_llama(cfg)
            else Mlp(cfg.mlp_dim, cfg.activation, name="mlp")
        )
        x += mlp(norm(cfg, "norm2")(x))
        x = constrain(x, "batch", "length", "act_embed")
        return x, cache if self.keep_cache else None


class Decoder(nn.Module):
    """Embedding table, positions, scanned layers, final norm and output map."""

    cfg: DecoderConfig | GPT2Config

    def setup(self):
        cfg = self.cfg
        shape = (cfg.padded_vocab_size, cfg.width)
        # ("vocab", None): see AXIS_RULES.
        self.table = self.param("embed", partitioned(embed_init, "vocab", None), shape)
        self.norm = norm(cfg)
        if not is_llama(cfg) and cfg.positions == "learned":
            init = partitioned(embed_init, "position", None)
            self.positions = self.param("positions", init, (cfg.max_len, cfg.width))
        if not cfg.tied:
            self.head = self.param(
                "head", partitioned(fan_in_init, None, "vocab"), shape[::-1]
            )

    def embed(self, tokens: jax.Array) -> jax.Array:
        """i32[B, T] -> [B, T, D], without positions."""
        return embed_tokens(self.table, tokens).astype(self.cfg.dtype)

    def added_positions(self, x, context: Context, cache) -> jax.Array | None:
        """f32[B, T, D] to add to the inputs; None where attention turns by them.

        Learned, or sinusoids for as many as a row or a cache holds.
        """
        cfg = self.cfg
        if is_llama(cfg):
            return None
        if cfg.positions == "learned":
            return self.positions[context.positions]
        held = 0 if cache is None else cache[0].shape[2]
        table = sinusoids(max(cfg.max_len, x.shape[1], held), cfg.width)
        return jnp.asarray(table)[context.positions]

    @nn.compact
    def layers(self, x, context: Context, cache=None, keep_cache: bool = False):
        """[B, T, D] -> [B, T, D] after the final norm, and the cache or None.

        Args:
            cache: (k, v), each [L, B, S, K, H], or None.
            keep_cache: whether keys and values are returned.
        """
        added = self.added_positions(x, context, cache)
        if added is not None:
            x += added.astype(x.dtype)
        x = constrain(x, "batch", "length", "act_embed")
        blocks = scan_blocks(Block, self.cfg)
        x, cache = blocks(self.cfg, keep_cache, name="blocks")(x, context, cache)
        return self.norm(x), cache

    def logits(self, x: jax.Array) -> jax.Array:
        """[..., D] -> f32[..., V]; padded entries are `NEVER`."""
        return vocabulary_scores(x, self.output_table(), self.cfg.vocab_size)

    def output_table(self) -> jax.Array:
        """f32[D, V]: what maps hidden states to logits."""
        return self.table.T if self.cfg.tied else self.head
