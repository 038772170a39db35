"""Vision transformer with a CLS token, pre-norm blocks and a final LayerNorm.

With `pre_norm`, `quick_gelu`, no `patch_bias` and `pixels` of CLIP it is CLIP's image
encoder, whose norm of the pooled CLS is the final norm here.

Axes: B images, P tokens (CLS first), D width, N heads, H head width, F mlp.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.models.attention import attend
from babyvlm_jax.models.config import ViTConfig
from babyvlm_jax.models.image_layers import Conv, normalize
from babyvlm_jax.models.layers import LayerNorm, Linear, Mlp, embed_init, remat
from babyvlm_jax.models.positions import resize_grid
from babyvlm_jax.sharding import constrain, partitioned


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
        return Linear(cfg.width, ("patch", "embed"), cfg.patch_bias, name="patch")(x)


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
        y = attend(q.reshape(heads), k.reshape(heads), v.reshape(heads))
        return Linear(self.cfg.width, ("heads", "embed"), bias=True, name="o")(
            y.reshape(x.shape)
        )


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
            "scale2",
            Mlp(self.cfg.mlp_dim, self.cfg.activation, name="mlp")(
                LayerNorm(eps, name="norm2")(x)
            ),
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
        x = Stem(cfg, name="stem")(normalize(images, cfg.dtype, cfg.pixels))
        grid = x.shape[1:3]
        x = x.reshape(x.shape[0], -1, cfg.width)
        cls = self.param("cls", partitioned(embed_init, None, "norm"), (1, cfg.width))
        x = jnp.concatenate(
            [jnp.broadcast_to(cls.astype(x.dtype), (x.shape[0], 1, cfg.width)), x], 1
        )
        x += self.positions(grid).astype(x.dtype)
        x = self.with_registers(x)
        if cfg.pre_norm:
            x = LayerNorm(cfg.norm_eps, name="pre_norm")(x)
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
        x = LayerNorm(cfg.norm_eps, name="norm")(x)
        if not cfg.num_registers:
            return x
        return jnp.concatenate([x[:, :1], x[:, 1 + cfg.num_registers :]], axis=1)

    def with_registers(self, x: jax.Array) -> jax.Array:
        """Puts the registers, which have no positions, between CLS and patches."""
        cfg = self.cfg
        if not cfg.num_registers:
            return x
        table = self.param(
            "registers",
            partitioned(embed_init, None, "norm"),
            (cfg.num_registers, cfg.width),
        )
        shape = (x.shape[0], *table.shape)
        registers = jnp.broadcast_to(table.astype(x.dtype), shape)
        return jnp.concatenate([x[:, :1], registers, x[:, 1:]], axis=1)

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
        resized = resize_grid(table[1:], grid, cfg.position_resize)
        return jnp.concatenate([table[:1], resized])
