"""Attention: the one entry point, its reference, and rotary positions.

Axes: B batch, T query, S key, N query heads, K kv heads, H head width.
"""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from babyvlm_jax.models.attention_kernels import KERNELS, choose_kernel
from babyvlm_jax.models.layers import SAVED_NAME

SHORT = 512  # ours: keys up to which the library is as fast
CHUNK = 256  # ours: queries of a long row that are looked at together


def attend(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segment_ids: jax.Array | None = None,
    lengths: jax.Array | None = None,
    kernel: str = "xla",
) -> jax.Array:
    """Scaled dot-product attention with grouped heads; softmax in f32.

    Causal within segments where `segment_ids` are given; a query with a cache sees
    its first `lengths` + 1 entries, or with segments what `continued_mask` says;
    otherwise every query sees every key.

    Args:
        q: [B, T, N, H].
        k, v: [B, S, K, H], K divides N.
        segment_ids: i32[B, T], 1.. per record, 0 = padding; S = T but for a cache. What
            padding gives is finite and is never used.
        lengths: i32[B] entries of a cache before those of the queries; T = 1 without
            segments.
        kernel: one of `config.ATTENTION`; only packed rows have a choice.

    Returns:
        [B, T, N, H] in the dtype of q.

    Raises:
        UserError: the kernel cannot do this here.
    """
    if lengths is not None and segment_ids is not None:
        mask = continued_mask(segment_ids, lengths, k.shape[1])
        return masked_attention(q, k, v, mask)
    if lengths is not None:
        seen = jnp.arange(k.shape[1]) <= lengths[:, None]
        return masked_attention(q, k, v, seen[:, None])
    if segment_ids is None:
        return masked_attention(q, k, v, None)
    chosen = choose_kernel(kernel, q.shape[1], q.shape[3], q.dtype)
    if chosen == "xla":
        out = packed_attention(q, k, v, segment_ids)
        return checkpoint_name(out, SAVED_NAME)
    return KERNELS[chosen].attend(q, k, v, segment_ids)


def masked_attention(q, k, v, mask: jax.Array | None) -> jax.Array:
    """The reference: all scores at once, [B, N, T, S].

    Args:
        q, k, v: as `attend`.
        mask: bool[B, T, S], True where a query may see a key, or None for all. A
            query that sees nothing gets an average of all values.
    """
    if mask is not None and k.shape[1] > SHORT:
        return _grouped_attention(q, k, v, mask)
    mask = None if mask is None else mask[:, None]
    return jax.nn.dot_product_attention(q, k, v, mask=mask, implementation="xla")


def _grouped_attention(q, k, v, mask):
    """The library's sums, but the heads of a group are rows of one matrix product."""
    batch, length, heads, width = q.shape
    groups = k.shape[2]
    rows = q.reshape(batch, length, groups, -1, width).transpose(0, 2, 3, 1, 4)
    rows = rows.reshape(batch, groups, -1, width)
    k, v = k.transpose(0, 2, 1, 3), v.transpose(0, 2, 1, 3)
    scores = jnp.einsum("bkth,bksh->bkts", rows, k, preferred_element_type=jnp.float32)
    scores = scores.reshape(batch, groups, -1, length, k.shape[2]) * width**-0.5
    scores = jnp.where(mask[:, None, None], scores, jnp.finfo(jnp.float32).min / 2)
    weights = jax.nn.softmax(scores).astype(v.dtype)
    weights = weights.reshape(batch, groups, -1, k.shape[2])
    out = jnp.einsum("bkts,bksh->bkth", weights, v)
    out = out.reshape(batch, groups, -1, length, width).transpose(0, 3, 1, 2, 4)
    return out.reshape(batch, length, heads, width)


def packed_attention(q, k, v, segment_ids: jax.Array) -> jax.Array:
    """Causal attention within segments; of long rows a part of the queries at a time.

    Each part is given the keys up to its own last, which saves half of the scores and
    holds [B, N, CHUNK, T] of them at most.

    Args:
        q, k, v, segment_ids: as `attend`; S = T.
    """
    length = q.shape[1]
    if length <= SHORT:
        return masked_attention(q, k, v, packed_mask(segment_ids))
    parts = []
    for start in range(0, length, CHUNK):
        stop = min(start + CHUNK, length)
        mask = packed_mask(segment_ids[:, :stop])[:, start:]
        part = masked_attention(q[:, start:stop], k[:, :stop], v[:, :stop], mask)
        parts.append(part)
    return jnp.concatenate(parts, axis=1)


def packed_mask(segment_ids: jax.Array) -> jax.Array:
    """Causal attention that never crosses records.

    segment_ids = [1, 1, 2, 0] -> rows (query) see
        [1 0 0 0]
        [1 1 0 0]
        [0 0 1 0]
        [0 0 0 0]

    Args:
        segment_ids: i32[B, T], 1.. per record, 0 = padding.

    Returns:
        bool[B, T, T].
    """
    length = segment_ids.shape[1]
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    causal = jnp.tril(jnp.ones((length, length), bool))
    return same & causal & (segment_ids > 0)[:, :, None]


def continued_mask(
    segment_ids: jax.Array, lengths: jax.Array, num_slots: int
) -> jax.Array:
    """What tokens may see that follow a cache: all that it holds, and their segment.

    segment_ids = [1, 1, 2], 2 of 6 slots in use; the tokens go to slots 2, 3, 4 ->
        [1 1 1 0 0 0]
        [1 1 1 1 0 0]
        [1 1 0 0 1 0]

    Args:
        segment_ids: i32[B, T], 1.. per branch, 0 = padding.
        lengths: i32[B] slots in use.
        num_slots: S.

    Returns:
        bool[B, T, S].
    """
    place = jnp.arange(num_slots) - lengths[:, None]  # of a slot among the tokens
    among = packed_mask(segment_ids)
    last = segment_ids.shape[1] - 1
    index = jnp.clip(place, 0, last)[:, None, :]
    own = jnp.take_along_axis(
        among, jnp.broadcast_to(index, (*segment_ids.shape, num_slots)), axis=2
    )
    new = (place >= 0) & (place <= last)
    real = (segment_ids > 0)[:, :, None]
    return ((place < 0)[:, None, :] & real) | (new[:, None, :] & own)


def rope(x: jax.Array, positions: jax.Array, theta: float, rotary_dim: int):
    """Rotates the first `rotary_dim` dims of each head by its position.

    Dims i and i + rotary_dim/2 form a pair (Hugging Face's Llama layout); angle of
    pair i at position p is p * theta^(-2i / rotary_dim).

    Args:
        x: [B, T, N, H].
        positions: i32[B, T].

    Returns:
        [B, T, N, H] in the dtype of x.

    Source: RoFormer (arXiv 2104.09864).
    """
    half = rotary_dim // 2
    inverse = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = positions[:, :, None, None].astype(jnp.float32) * inverse
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    a, b, rest = jnp.split(x, [half, rotary_dim], axis=-1)
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    turned = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    return jnp.concatenate([turned.astype(x.dtype), rest], axis=-1)
