"""What image encoders share: normalised pixels, convolution, frozen batch norm.

Axes: B images, H and W pixels, C channels.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.models.layers import fan_in_init
from babyvlm_jax.sharding import partitioned

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
