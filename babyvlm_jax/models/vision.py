"""The image encoders: a vision transformer and a ResNeXt trunk.

The transformer has a CLS token, pre-norm blocks and a final LayerNorm. With `pre_norm`,
`quick_gelu`, no `patch_bias` and `pixels` of CLIP it is CLIP's image encoder, whose
norm of the pooled CLS is the final norm here.

The trunk has bottleneck blocks with grouped convolutions and no pooling. Its batch norm
is always in its inference form: the original left it in training mode while the trunk
was frozen, so its statistics drifted; ours stay those of the checkpoint. Training a
trunk from nothing is not offered: BabyVLM V1 takes it from DINO.

Axes: B images, H and W pixels or places, C channels, P tokens (CLS first), D width, N
heads, F mlp.

Source: An Image is Worth 16x16 Words (arXiv 2010.11929); Aggregated Residual
Transformations (arXiv 1611.05431), in torchvision's form (the stride is that of the 3x3
convolution).
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.models.attention import attend
from babyvlm_jax.models.config import ResNeXtConfig, ViTConfig
from babyvlm_jax.models.layers import (
    LayerNorm,
    Linear,
    Mlp,
    embed_init,
    fan_in_init,
    remat,
)
from babyvlm_jax.sharding import constrain, partitioned

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
STATISTICS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "clip": (CLIP_MEAN, CLIP_STD),
}


def normalize(images: jax.Array, dtype: str, pixels: str = "imagenet") -> jax.Array:
    """u8[..., 3] or f32 in 0..1 -> normalised [..., 3] of `dtype`.

    Args:
        pixels: whose mean and deviation, one of `STATISTICS`.
    """
    unit = images / 255.0 if images.dtype == jnp.uint8 else images
    mean, std = STATISTICS[pixels]
    return ((unit - jnp.array(mean)) / jnp.array(std)).astype(dtype)


class Conv(nn.Module):
    """Convolution; its weights are one matrix, [window^2 C / groups, out].

    Attributes:
        padding: `SAME`, or pixels on each side.
    """

    features: int
    window: int
    stride: int
    padding: str | int = "SAME"
    groups: int = 1
    bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H/stride, W/stride, features]."""
        channels = x.shape[-1] // self.groups
        shape = (self.window, self.window, channels, self.features)
        w = self.param(
            "w",
            partitioned(fan_in_init, "patch", "embed"),
            (math.prod(shape[:3]), shape[3]),
        )
        y = jax.lax.conv_general_dilated(
            x,
            w.reshape(shape).astype(x.dtype),
            (self.stride, self.stride),
            self.pads(),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )
        if not self.bias:
            return y
        zeros = partitioned(nn.initializers.zeros, "embed")
        return y + self.param("b", zeros, (self.features,)).astype(x.dtype)

    def pads(self) -> str | Sequence[tuple[int, int]]:
        """Padding in the form that lax takes."""
        if isinstance(self.padding, str):
            return self.padding
        return ((self.padding, self.padding),) * 2


class FrozenBatchNorm(nn.Module):
    """(x - mean) / std * scale + bias with stored mean and variance; f32 inside.

    The statistics are leaves that no gradient reaches, so an optimizer leaves them as
    they are; scale and bias train like any other parameter.
    """

    eps: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H, W, C] in the dtype of x."""
        ones = partitioned(nn.initializers.ones, "norm")
        zeros = partitioned(nn.initializers.zeros, "norm")
        shape = (x.shape[-1],)
        scale = self.param("scale", ones, shape)
        bias = self.param("bias", zeros, shape)
        mean = jax.lax.stop_gradient(self.param("mean", zeros, shape))
        var = jax.lax.stop_gradient(self.param("var", ones, shape))
        scale *= jax.lax.rsqrt(var + self.eps)
        return ((x.astype(jnp.float32) - mean) * scale + bias).astype(x.dtype)


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


class ViTAttention(nn.Module):
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


class ViTBlock(nn.Module):
    """One pre-norm layer, in the form that `nn.scan` wants."""

    cfg: ViTConfig

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        """[B, P, D] -> [B, P, D]."""
        eps = self.cfg.norm_eps
        x += self.scaled(
            "scale1",
            ViTAttention(self.cfg, name="attn")(LayerNorm(eps, name="norm1")(x)),
        )
        x += self.scaled(
            "scale2",
            Mlp(self.cfg.mlp_dim, self.cfg.activation, name="mlp")(
                LayerNorm(eps, name="norm2")(x)
            ),
        )
        return constrain(x, "batch", "length", "act_embed"), None

    def scaled(self, name: str, y: jax.Array) -> jax.Array:
        """LayerScale, if the config has it."""
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
            remat(ViTBlock, cfg.remat),
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


def resize_grid(table: jax.Array, grid: tuple[int, int], method: str) -> jax.Array:
    """A square grid of positions on another grid, by bicubic interpolation.

    Args:
        table: [side^2, D], row by row.
        grid: rows and columns wanted.
        method: `antialias` widens the kernel where the grid shrinks (timm, DINOv2
            with registers); `torch` is torch's plain bicubic (transformers' ViT and
            DINOv2), of a sharper kernel and with repeated edges.

    Returns:
        [rows * columns, D].
    """
    side = round(table.shape[0] ** 0.5)
    square = table.reshape(side, side, -1)
    if method == "antialias":
        resized = jax.image.resize(square, (*grid, square.shape[-1]), "bicubic")
    else:
        rows, columns = (torch_bicubic(side, size) for size in grid)
        resized = jnp.einsum("yh,xw,hwd->yxd", rows, columns, square)
    return resized.reshape(-1, square.shape[-1])


def torch_bicubic(size: int, new_size: int) -> np.ndarray:
    """f32[new_size, size]: weights of torch's bicubic without antialiasing.

    A new point at (i + 1/2) size / new_size - 1/2 takes four neighbours, weighted by
    Keys' kernel with a = -3/4; neighbours beyond the edge repeat it.

    Source: the documented behaviour of `torch.nn.functional.interpolate`.
    """
    place = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    first = np.floor(place).astype(int)
    matrix = np.zeros((new_size, size), np.float32)
    for offset in (-1, 0, 1, 2):
        neighbour = np.clip(first + offset, 0, size - 1)
        weight = keys_kernel(np.abs(place - first - offset), -0.75)
        np.add.at(matrix, (np.arange(new_size), neighbour), weight)
    return matrix


def keys_kernel(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distances 0 to 2."""
    d = distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, far)


class Bottleneck(nn.Module):
    """1x1, grouped 3x3, 1x1, added to a shortcut.

    Attributes:
        inner: channels of the 3x3 convolution.
        outer: channels that the block gives.
        stride: of the 3x3 convolution.
        project: whether the shortcut is a 1x1 convolution.
    """

    cfg: ResNeXtConfig
    inner: int
    outer: int
    stride: int
    project: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, H/stride, W/stride, outer]."""
        y = nn.relu(self.conv("1", x, self.inner, 1))
        y = self.conv("2", y, self.inner, 3, self.stride, self.cfg.groups)
        y = self.conv("3", nn.relu(y), self.outer, 1)
        if self.project:
            x = Conv(self.outer, 1, self.stride, 0, bias=False, name="shortcut")(x)
            x = FrozenBatchNorm(self.cfg.norm_eps, name="shortcut_norm")(x)
        return constrain(nn.relu(x + y), "batch")

    def conv(self, number, x, features, window, stride=1, groups=1):
        """Convolution and its norm."""
        padding = window // 2
        x = Conv(
            features, window, stride, padding, groups, False, name=f"conv{number}"
        )(x)
        return FrozenBatchNorm(self.cfg.norm_eps, name=f"norm{number}")(x)


class ResNeXt(nn.Module):
    """Images -> one token a place of the last stage, row by row."""

    cfg: ResNeXtConfig

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """u8 or f32[B, H, W, 3] -> [B, P, C].

        Args:
            images: u8 in 0..255 or f32 in 0..1.
        """
        cfg = self.cfg
        x = normalize(images, cfg.dtype)
        x = Conv(cfg.stem_width, 7, 2, 3, bias=False, name="conv1")(x)
        x = nn.relu(FrozenBatchNorm(cfg.norm_eps, name="norm1")(x))
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        block_of = remat(Bottleneck, cfg.remat)
        for stage, num_blocks in enumerate(cfg.stages):
            inner = cfg.groups * cfg.group_width * 2**stage
            outer = cfg.stem_width * cfg.expansion * 2**stage
            for index in range(num_blocks):
                x = block_of(
                    cfg,
                    inner,
                    outer,
                    stride=2 if stage and not index else 1,
                    project=not index,
                    name=f"stage{stage + 1}_block{index}",
                )(x)
        return jnp.reshape(x, (x.shape[0], -1, x.shape[-1]))


ENCODERS = {ViTConfig: ViT, ResNeXtConfig: ResNeXt}


def make_encoder(cfg: ViTConfig | ResNeXtConfig):
    """Returns encode(params, images u8[N, H, W, 3]) -> [N, P, Dv], for one part."""
    module = ENCODERS[type(cfg)](cfg)
    return lambda params, images: module.apply({"params": params}, images)
