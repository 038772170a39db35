"""Vision transformer with a CLS token, pre-norm blocks and a final LayerNorm.

Axes: B images, P tokens (CLS first), D width, N heads, H head width, F mlp.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.models.attention import attend
from babyvlm_jax.models.config import ViTConfig
from babyvlm_jax.models.layers import LayerNorm, Linear, embed_init, fan_in_init, remat
from babyvlm_jax.sharding import constrain, partitioned

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize(images: jax.Array, dtype: str) -> jax.Array:
    """u8[..., 3] or f32 in 0..1 -> ImageNet-normalised [..., 3] of `dtype`."""
    unit = images / 255.0 if images.dtype == jnp.uint8 else images
    return ((unit - jnp.array(IMAGENET_MEAN)) / jnp.array(IMAGENET_STD)).astype(dtype)


class Conv(nn.Module):
    """Convolution with SAME padding; its weights are one matrix, [window^2 C, out]."""

    features: int
    window: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H/stride, W/stride, features]."""
        shape = (self.window, self.window, x.shape[-1], self.features)
        names = ("patch", "embed")
        w = self.param(
            "w", partitioned(fan_in_init, *names), (math.prod(shape[:3]), shape[3])
        )
        y = jax.lax.conv_general_dilated(
            x,
            w.reshape(shape).astype(x.dtype),
            (self.stride, self.stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        zeros = partitioned(nn.initializers.zeros, "embed")
        return y + self.param("b", zeros, (self.features,)).astype(x.dtype)


class Stem(nn.Module):
    """Pixels -> one token a patch."""

    cfg: ViTConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, 3] -> [B, H/patch, W/patch, D]."""
        cfg, patch = self.cfg, self.cfg.patch_size
        if cfg.stem == "conv":
            x = Conv(cfg.stem_channels, patch, patch // 2, name="conv")(x)
            return Conv(cfg.width, 3, 2, name="patch")(nn.gelu(x, approximate=False))
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // patch, patch, width // patch, patch, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(
            batch, height // patch, width // patch, patch * patch * channels
        )
        return Linear(cfg.width, ("patch", "embed"), bias=True, name="patch")(x)


class Attention(nn.Module):
    """Full self-attention with biases."""

    cfg: ViTConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, P, D] -> [B, P, D]."""
        heads = (*x.shape[:2], self.cfg.num_heads, self.cfg.width // self.cfg.num_heads)
        q, k, v = (
            Linear(self.cfg.width, ("embed", "heads"), bias=True, name=name)(x)
            for name in "qkv"
        )
        y = attend(q.reshape(heads), k.reshape(heads), v.reshape(heads), None)
        return Linear(self.cfg.width, ("heads", "embed"), bias=True, name="o")(
            y.reshape(x.shape)
        )


class Mlp(nn.Module):
    """Linear, exact GELU, Linear."""

    cfg: ViTConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, P, D] -> [B, P, D]."""
        x = Linear(self.cfg.mlp_dim, ("embed", "mlp"), bias=True, name="up")(x)
        x = nn.gelu(x, approximate=False)
        return Linear(self.cfg.width, ("mlp", "embed"), bias=True, name="down")(x)


class Block(nn.Module):
    """One pre-norm layer, in the form that `nn.scan` wants."""

    cfg: ViTConfig

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        """[B, P, D] -> [B, P, D]."""
        eps = self.cfg.norm_eps
        x += self.scaled(
            "scale1", Attention(self.cfg, name="attn")(LayerNorm(eps, name="norm1")(x))
        )
        x += self.scaled(
            "scale2", Mlp(self.cfg, name="mlp")(LayerNorm(eps, name="norm2")(x))
        )
        return constrain(x, "batch", "length", "act_embed"), None

    def scaled(self, name: str, y: jax.Array) -> jax.Array:
        """LayerScale, where the config asks for it."""
        if not self.cfg.layer_scale:
            return y
        init = nn.initializers.constant(self.cfg.layer_scale)
        scale = self.param(name, partitioned(init, "norm"), (y.shape[-1],))
        return y * scale.astype(y.dtype)


class ViT(nn.Module):
    """Images -> CLS and patch tokens after the final LayerNorm."""

    cfg: ViTConfig

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """u8 or f32[B, H, W, 3] -> [B, P, D]; other sizes get interpolated positions.

        Args:
            images: u8 in 0..255 or f32 in 0..1, sides a multiple of the patch size.
        """
        cfg = self.cfg
        x = Stem(cfg, name="stem")(normalize(images, cfg.dtype))
        grid = x.shape[1:3]
        x = x.reshape(x.shape[0], -1, cfg.width)
        cls = self.param("cls", partitioned(embed_init, None, "norm"), (1, cfg.width))
        x = jnp.concatenate(
            [jnp.broadcast_to(cls.astype(x.dtype), (x.shape[0], 1, cfg.width)), x], 1
        )
        x += self.positions(grid).astype(x.dtype)
        x = constrain(x, "batch", "length", "act_embed")
        blocks = nn.scan(
            remat(Block, cfg.remat),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=cfg.num_layers,
            unroll=cfg.unroll,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        x, _ = blocks(cfg, name="blocks")(x, None)
        return LayerNorm(cfg.norm_eps, name="norm")(x)

    def positions(self, grid: tuple[int, int]) -> jax.Array:
        """Learned positions of CLS and a grid of patches, bicubic for other grids."""
        cfg = self.cfg
        side = cfg.image_size // cfg.patch_size
        table = self.param(
            "positions",
            partitioned(embed_init, "position", "norm"),
            (cfg.num_tokens, cfg.width),
        )
        if grid == (side, side):
            return table
        square = table[1:].reshape(side, side, cfg.width)
        resized = jax.image.resize(square, (*grid, cfg.width), "bicubic")
        return jnp.concatenate([table[:1], resized.reshape(-1, cfg.width)])
