"""The student of self-distillation: a vision transformer and a head of prototypes.

Its loss, and its teacher, are in `training/objectives/dino.py`.

Axes: V views, B images, D width, C prototypes.

Source: DINO (arXiv 2104.14294); defaults are Orhan's for SAYCam (BabyVLM V1, arXiv
2504.09426).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.models.config import DinoConfig, ViTConfig
from babyvlm_jax.models.layers import Linear, bind_parameters
from babyvlm_jax.models.vision import ViT
from babyvlm_jax.sharding import constrain, partitioned

STUDENT = ("vision", "head")


class DinoHead(nn.Module):
    """Three-layer MLP, unit-length bottleneck, prototypes of unit length."""

    cfg: DinoConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, D] -> cosine with each prototype, f32[B, C]."""
        cfg = self.cfg
        x = Linear(cfg.head_hidden_dim, ("embed", "mlp"), bias=True, name="mlp1")(x)
        x = nn.gelu(x, approximate=False)
        x = Linear(cfg.head_hidden_dim, (None, "mlp"), bias=True, name="mlp2")(x)
        x = nn.gelu(x, approximate=False)
        x = Linear(cfg.head_bottleneck_dim, ("mlp", None), bias=True, name="mlp3")(x)
        x = _unit(x.astype(jnp.float32), axis=-1)
        prototypes = self.param(
            "prototypes",
            partitioned(nn.initializers.normal(0.02), None, "prototypes"),
            (cfg.head_bottleneck_dim, cfg.num_prototypes),
        )
        return x @ _unit(prototypes, axis=0)


def _unit(x, axis):
    return x / (jnp.linalg.norm(x, axis=axis, keepdims=True) + 1e-6)


class Student(NamedTuple):
    """The functions of a student; a teacher's parameters have the same form.

    Attributes:
        init, param_specs, shapes: see `layers.Parameters`.
        assign: (params, views f32[V, B, H, W, 3]) -> scores f32[V, B, C].
    """

    init: Callable[..., Any]
    assign: Callable[..., jax.Array]
    param_specs: Callable[..., Any]
    shapes: Callable[..., Any]


@functools.lru_cache(maxsize=16)
def make_student(vit: ViTConfig, cfg: DinoConfig) -> Student:
    """Binds the functions to an architecture."""

    def boxed(key, parts):
        vision_key, head_key = jax.random.split(key)
        image = jnp.zeros((1, vit.image_size, vit.image_size, 3))
        drawn = {
            "vision": lambda: ViT(vit).init(vision_key, image),
            "head": lambda: DinoHead(cfg).init(head_key, jnp.zeros((1, vit.width))),
        }
        return {name: drawn[name]()["params"] for name in parts}

    def assign(params, views):
        flat = constrain(views.reshape(-1, *views.shape[2:]), "batch")
        cls = ViT(vit).apply({"params": params["vision"]}, flat)[:, 0]
        scores = DinoHead(cfg).apply({"params": params["head"]}, cls)
        return scores.reshape(*views.shape[:2], -1)

    return Student(assign=assign, **bind_parameters(boxed, STUDENT)._asdict())
