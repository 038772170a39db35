"""Self-distillation without labels for the vision phase.

A student sees all crops, a teacher (its moving average) the two global ones; the
student learns the teacher's centred, sharpened prototype assignments.

Axes: V views, B images, C prototypes.

Source: DINO (arXiv 2104.14294); defaults are Orhan's for SAYCam (spec V1, 2.4).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.losses import distillation
from babyvlm_jax.models.augment import multi_crop
from babyvlm_jax.models.config import DinoConfig, ViTConfig
from babyvlm_jax.models.layers import Linear
from babyvlm_jax.models.vit import ViT
from babyvlm_jax.sharding import axis_names, constrain, partitioned


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


def dino_init(key: jax.Array, vit_cfg: ViTConfig, cfg: DinoConfig):
    """Student, an equal teacher, and the centre.

    Returns:
        params {vision, head, teacher: {vision, head}}, extra {center: f32[C]}.
    """
    student = nn.meta.unbox(_boxed(key, vit_cfg, cfg))
    teacher = jax.tree.map(jnp.copy, student)
    return {**student, "teacher": teacher}, {"center": jnp.zeros(cfg.num_prototypes)}


def dino_specs(vit_cfg: ViTConfig, cfg: DinoConfig):
    """Logical axis names of the student; the teacher's paths end alike."""
    boxed = jax.eval_shape(lambda: _boxed(jax.random.key(0), vit_cfg, cfg))
    return axis_names(boxed)


def _boxed(key, vit_cfg, cfg):
    vision_key, head_key = jax.random.split(key)
    side = vit_cfg.image_size
    image = jnp.zeros((1, side, side, 3))
    return {
        "vision": ViT(vit_cfg).init(vision_key, image)["params"],
        "head": DinoHead(cfg).init(head_key, jnp.zeros((1, vit_cfg.width)))["params"],
    }


def make_dino_loss(vit_cfg: ViTConfig, cfg: DinoConfig):
    """Returns the loss function that `step.make_train_step` takes."""

    def assign(params, views):
        flat = constrain(views.reshape(-1, *views.shape[2:]), "batch")
        cls = ViT(vit_cfg).apply({"params": params["vision"]}, flat)[:, 0]
        scores = DinoHead(cfg).apply({"params": params["head"]}, cls)
        return scores.reshape(*views.shape[:2], -1)

    def loss(params, extra, batch, key):
        big, small = multi_crop(key, batch["images"], cfg.augment)
        teacher = jax.lax.stop_gradient(assign(params["teacher"], big))
        targets = jax.nn.softmax(
            (teacher - extra["center"]) / cfg.teacher_temperature, axis=-1
        )
        views = [assign(params, big)]
        if small.shape[0]:
            views.append(assign(params, small))
        student = jax.nn.log_softmax(
            jnp.concatenate(views) / cfg.student_temperature, axis=-1
        )
        keep = cfg.center_momentum
        center = keep * extra["center"] + (1 - keep) * jnp.mean(teacher, axis=(0, 1))
        total, count = distillation(student, targets)
        return total, ({"count": count}, {"center": center})

    return loss


def make_teacher_update(cfg: DinoConfig):
    """Returns params -> params with the teacher moved towards the student."""

    def update(params):
        student = {name: params[name] for name in ("vision", "head")}
        keep = cfg.teacher_momentum
        teacher = jax.tree.map(
            lambda t, s: keep * t + (1 - keep) * s, params["teacher"], student
        )
        return {**params, "teacher": teacher}

    return update
