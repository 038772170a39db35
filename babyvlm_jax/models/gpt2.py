"""GPT-2-family decoder: causal within records, with a key/value cache.

Axes: B batch, T query, S key, D width, N heads, H head width, F mlp, V padded
vocabulary, L layers. It has the interface of `decoder.Decoder`. The original trains
with dropout .15; ours has none.

Source: GPT-2 as transformers has it; sizes of BabyLLaVA (arXiv 2504.09426). The layers
of CLIP's text encoder are the same but for the activation (`models/contrastive.py`).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.models.attention import attend
from babyvlm_jax.models.config import GPT2Config
from babyvlm_jax.models.decoder import Context, extend_cache, scan_blocks
from babyvlm_jax.models.layers import (
    LayerNorm,
    Linear,
    Mlp,
    embed_init,
    embed_tokens,
    fan_in_init,
    vocabulary_scores,
)
from babyvlm_jax.models.positions import sinusoids
from babyvlm_jax.sharding import constrain, partitioned


class Attention(nn.Module):
    """Multi-head attention with biases, and no positions of its own."""

    cfg: GPT2Config

    @nn.compact
    def __call__(self, x, context: Context, cache):
        """[B, T, D], (k, v [B, S, N, H]) or None -> [B, T, D], (k, v).

        Without a cache the returned keys and values are those of x; with one, they
        are the cache with those of x written from `lengths` on.
        """
        cfg = self.cfg
        heads = (*x.shape[:2], cfg.num_heads, cfg.head_dim)
        q, k, v = (
            Linear(cfg.width, ("embed", "heads"), bias=True, name=name)(x).reshape(
                heads
            )
            for name in "qkv"
        )
        k, v = extend_cache(cache, k, v, context)
        y = attend(q, k, v, context.segment_ids, context.lengths, cfg.attention)
        y = y.reshape(x.shape)
        out = Linear(cfg.width, ("heads", "embed"), bias=True, name="o")(y)
        return out, (k, v)


class Block(nn.Module):
    """One pre-norm layer, in the form that `nn.scan` wants."""

    cfg: GPT2Config
    keep_cache: bool

    @nn.compact
    def __call__(self, x, context: Context, cache):
        """[B, T, D] -> [B, T, D], and keys and values if `keep_cache`."""
        eps = self.cfg.norm_eps
        y, cache = Attention(self.cfg, name="attn")(
            LayerNorm(eps, name="norm1")(x), context, cache
        )
        x += y
        x += Mlp(self.cfg.mlp_dim, self.cfg.activation, name="mlp")(
            LayerNorm(eps, name="norm2")(x)
        )
        x = constrain(x, "batch", "length", "act_embed")
        return x, cache if self.keep_cache else None


class GPT2(nn.Module):
    """Embedding table, positions, scanned layers, final norm and output map."""

    cfg: GPT2Config

    def setup(self):
        cfg = self.cfg
        shape = (cfg.padded_vocab_size, cfg.width)
        # ("vocab", None): see AXIS_RULES.
        self.table = self.param("embed", partitioned(embed_init, "vocab", None), shape)
        self.norm = LayerNorm(cfg.norm_eps)
        if cfg.positions == "learned":
            init = partitioned(embed_init, "position", None)
            self.positions = self.param("positions", init, (cfg.max_len, cfg.width))
        if not cfg.tied:
            self.head = self.param(
                "head", partitioned(fan_in_init, None, "vocab"), shape[::-1]
            )

    def embed(self, tokens: jax.Array) -> jax.Array:
        """i32[B, T] -> [B, T, D], without positions."""
        return embed_tokens(self.table, tokens).astype(self.cfg.dtype)

    def position_table(self, x, cache) -> jax.Array:
        """f32[N, D]: learned, or sinusoids for as many as a row or a cache holds."""
        if self.cfg.positions == "learned":
            return self.positions
        held = 0 if cache is None else cache[0].shape[2]
        return jnp.asarray(
            sinusoids(max(self.cfg.max_len, x.shape[1], held), self.cfg.width)
        )

    @nn.compact
    def layers(self, x, context: Context, cache=None, keep_cache: bool = False):
        """[B, T, D] -> [B, T, D] after the final norm, and the cache or None.

        Args:
            cache: (k, v), each [L, B, S, N, H], or None.
            keep_cache: whether keys and values are returned.
        """
        x += self.position_table(x, cache)[context.positions].astype(x.dtype)
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
