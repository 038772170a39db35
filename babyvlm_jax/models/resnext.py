"""ResNeXt trunk: bottleneck blocks with grouped convolutions, no pooling.

Axes: B images, H and W places, C channels, P tokens.

Batch norm is always in its inference form. The original left it in training mode
while the trunk was frozen, so its statistics drifted; ours stay those of the
checkpoint. Training a trunk from nothing is not offered: BabyVLM V1 takes it from DINO.

Source: Aggregated Residual Transformations (arXiv 1611.05431), in torchvision's form
(the stride is that of the 3x3 convolution).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.models.config import ResNeXtConfig
from babyvlm_jax.models.image_layers import Conv, FrozenBatchNorm, normalize
from babyvlm_jax.models.layers import remat
from babyvlm_jax.sharding import constrain


class Block(nn.Module):
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
        block_of = remat(Block, cfg.remat)
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
