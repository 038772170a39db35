"""Fused attention for packed rows: which kernel a platform has, and when it serves.

A kernel takes segment ids, never a [B, T, T] array of scores in f32, and agrees with
`attention.masked_attention` on every token that is not padding. Each runs inside
`shard_map`: rows are split over the batch axes, heads over `tensor`.

Axes: B rows, T tokens, N query heads, K kv heads, H head width.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu import splash_attention as splash

from babyvlm_jax.models.layers import SAVED_NAME
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.sharding import platform_of_mesh, spec

LANES = 128  # tiles of a TPU; rows must be whole tiles
MAX_BLOCK = 512
# Shorter rows have few scores: XLA's attention needs no kernel for them.
LONG_ROW = 1024


class Kernel(NamedTuple):
    """A fused attention.

    Attributes:
        platforms: where it runs; where it is chosen unasked is `automatic`.
        obstacle: (length, head_dim, dtype) -> why it cannot, or None.
        attend: (q [B, T, N, H], k, v [B, T, K, H], segment_ids i32[B, T]) -> like q.
    """

    platforms: tuple[str, ...]
    automatic: str
    obstacle: Callable[[int, int, jnp.dtype], str | None]
    attend: Callable[..., jax.Array]


def choose_kernel(name: str, length: int, head_dim: int, dtype) -> str:
    """The kernel that packed rows of this shape get on the mesh that is set.

    Args:
        name: one of `config.ATTENTION`; `auto` takes the fused kernel of the platform
            for long rows that it can do, else `xla`.
        length: T.

    Raises:
        UserError: it cannot do this here.
    """
    platform = platform_of_mesh()
    if name == "xla":
        return name
    if name == "auto":
        for known, kernel in KERNELS.items():
            if kernel.automatic == platform and length >= LONG_ROW:
                return "xla" if kernel.obstacle(length, head_dim, dtype) else known
        return "xla"
    kernel = KERNELS[name]
    obstacle = kernel.obstacle(length, head_dim, dtype)
    if platform not in kernel.platforms:
        obstacle = f"runs on {' and '.join(kernel.platforms)}, not on {platform}"
    if obstacle:
        raise UserError(
            f"config.model.decoder.attention {name!r} {obstacle}; set it to 'auto'"
        )
    return name


def _over_mesh(attend):
    """Gives each device its own rows and heads."""
    heads = spec("batch", "length", "act_heads", None)
    rows = spec("batch", "length")
    return jax.shard_map(
        attend,
        in_specs=(heads, heads, heads, rows),
        out_specs=heads,
        check_vma=False,  # Pallas calls do not say how their outputs vary
    )


def _splash_obstacle(length, head_dim, dtype):
    del head_dim, dtype  # head widths are padded to whole lanes in the kernel
    if length % LANES:
        return f"needs rows of a multiple of {LANES} tokens, not {length}"
    return None


def splash_attention(q, k, v, segment_ids):
    """Blockwise attention of a TPU, from Pallas; interpreted (slow) on a CPU.

    Keys and values are not repeated for the heads of a group. Padding (0) is a segment
    like the others, so no query sees nothing.
    """
    interpret = platform_of_mesh() == "cpu"

    def attend(q, k, v, ids):
        _, length, num_heads, head_dim = q.shape
        block = math.gcd(length, MAX_BLOCK)
        causal = splash.CausalMask((length, length))
        kernel = splash.make_splash_mha(
            splash.MultiHeadMask([causal] * num_heads),
            block_sizes=splash.BlockSizes(
                block_q=block,
                block_kv=block,
                block_q_dkv=block,
                block_kv_dkv=block,
                block_q_dq=block,
                block_kv_dq=block,
            ),
            head_shards=1,
            q_seq_shards=1,
            residual_checkpoint_name=SAVED_NAME,
            interpret=interpret,
        )
        scaled = (q.astype(jnp.float32) * head_dim**-0.5).astype(q.dtype)
        heads_first = (x.transpose(0, 2, 1, 3) for x in (scaled, k, v))
        out = jax.vmap(kernel)(*heads_first, splash.SegmentIds(ids, ids))
        return out.transpose(0, 2, 1, 3)

    return _over_mesh(attend)(q, k, v, segment_ids)


def _cudnn_obstacle(length, head_dim, dtype):
    if jnp.dtype(dtype) not in (jnp.bfloat16, jnp.float16):
        return f"needs model.decoder.dtype bfloat16, not {jnp.dtype(dtype).name}"
    if head_dim % 8 or head_dim > 128:
        return f"needs heads of a multiple of 8 up to 128 dims, not {head_dim}"
    if length % 2:
        return f"needs rows of an even number of tokens, not {length}"
    return None


def cudnn_attention(q, k, v, segment_ids):
    """cuDNN's fused attention on a GPU, with the segments as an explicit mask.

    The mask is complete; `is_causal` only lets cuDNN skip what is above the diagonal.
    Without the mask it would attend across records.
    """

    def attend(q, k, v, ids):
        places = jnp.arange(ids.shape[1])
        causal = places[:, None] >= places
        mask = causal & (ids[:, :, None] == ids[:, None, :])
        return jax.nn.dot_product_attention(
            q, k, v, mask=mask[:, None], is_causal=True, implementation="cudnn"
        )

    return _over_mesh(attend)(q, k, v, segment_ids)


KERNELS = {
    "splash": Kernel(("tpu", "cpu"), "tpu", _splash_obstacle, splash_attention),
    "cudnn": Kernel(("gpu",), "gpu", _cudnn_obstacle, cudnn_attention),
}
