"""Self-distillation without labels: the vision phase.

A student sees all crops, a teacher (its moving average) the two global ones; the
student learns the teacher's centred, sharpened prototype assignments.

Axes: V views, B images, C prototypes.

Source: DINO (arXiv 2104.14294).
"""

import jax
import jax.numpy as jnp

from babyvlm_jax.data.config import Batch
from babyvlm_jax.data.frames import Frames
from babyvlm_jax.data.synthetic import synthetic_frames
from babyvlm_jax.models.augment import multi_crop
from babyvlm_jax.models.config import DinoConfig, ViTConfig
from babyvlm_jax.models.dino import STUDENT, Student, make_student
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import agreement
from babyvlm_jax.training.flops import Forward, StepFlops, train_flops, vision_forward
from babyvlm_jax.training.objectives.base import BaseObjective, HeldOut
from babyvlm_jax.training.step import LossFn


def distillation(student: jax.Array, teacher: jax.Array, valid=None):
    """Cross-entropy between every teacher view and every other student view.

    Args:
        student: f32[S, B, C] log-probabilities; its first views are the teacher's.
        teacher: f32[G, B, C] probabilities.
        valid: bool[B], False for images that only fill the batch; None: all count.

    Returns:
        total f32[], count f32[] of (teacher view, student view, image) pairs.

    Source: DINO (arXiv 2104.14294), equation 3.
    """
    pairs = -jnp.einsum("gbc,sbc->gsb", teacher, student)
    views = jnp.arange(student.shape[0])
    other = jnp.arange(teacher.shape[0])[:, None] != views[None, :]
    num_images = student.shape[1]
    if valid is not None:
        pairs, num_images = pairs * valid, jnp.sum(valid, dtype=jnp.float32)
    count = jnp.sum(other, dtype=jnp.float32) * num_images
    return jnp.sum(pairs * other[:, :, None]), count


def make_dino_loss(student: Student, cfg: DinoConfig) -> LossFn:
    """The loss of student and teacher over the crops of a batch of frames."""

    def loss(params, extra, batch, key):
        big, small = multi_crop(key, batch["images"], cfg.augment)
        teacher = jax.lax.stop_gradient(student.assign(params["teacher"], big))
        targets = jax.nn.softmax(
            (teacher - extra["center"]) / cfg.teacher_temperature, axis=-1
        )
        views = [student.assign(params, big)]
        if small.shape[0]:
            views.append(student.assign(params, small))
        scores = jax.nn.log_softmax(
            jnp.concatenate(views) / cfg.student_temperature, axis=-1
        )
        keep = cfg.center_momentum
        center = keep * extra["center"] + (1 - keep) * jnp.mean(teacher, axis=(0, 1))
        total, count = distillation(scores, targets, batch.get("valid"))
        return total, ({"count": count}, extra | {"center": center})

    return loss


def make_teacher_update(cfg: DinoConfig):
    """Returns params -> params with the teacher moved towards the student."""

    def update(params):
        student = {name: params[name] for name in STUDENT}
        keep = cfg.teacher_momentum
        teacher = jax.tree.map(
            lambda t, s: keep * t + (1 - keep) * s, params["teacher"], student
        )
        return {**params, "teacher": teacher}

    return update


def dino_flops(vit: ViTConfig, cfg: DinoConfig, num_images: int) -> StepFlops:
    """Teacher over the global crops; student over all, forward and backward."""
    crops = cfg.augment
    hidden, bottleneck = cfg.head_hidden_dim, cfg.head_bottleneck_dim
    head = vit.width * hidden + hidden * hidden + hidden * bottleneck
    head = Forward(2 * (head + bottleneck * cfg.num_prototypes))
    big = vision_forward(vit, crops.global_size).times(2)
    small = vision_forward(vit, crops.local_size).times(crops.num_local)
    student = Forward(big.weights + small.weights, big.attention + small.attention)
    teacher = big.total + head.total * 2
    trunk = train_flops({"vision": student}, ("vision",), {"vision": vit.remat})
    heads = 3 * head.total * (2 + crops.num_local)
    return StepFlops(
        num_images * (teacher + trunk.model + heads), num_images * trunk.again
    )


class Objective(BaseObjective):
    """A student learns its teacher's assignments; see `base`."""

    PROGRAMS = ("train", "dino")

    def __init__(self, run):
        super().__init__(run)
        self.parts = STUDENT
        self.model = make_student(run.model.vision, run.dino)
        self.loss = make_dino_loss(self.model, run.dino)
        self.held_out = self.loss
        self.after_update = make_teacher_update(run.dino)

    def made_by_loss(self, params):
        """A teacher that equals the student, and the centre f32[C]."""
        teacher = jax.tree.map(jnp.copy, params)
        return {"teacher": teacher}, {"center": jnp.zeros(self.run.dino.num_prototypes)}

    def data(self):
        """Frames."""
        return Frames(self.run.data)

    def validation_data(self) -> HeldOut:
        """Frames that `config.validation` names."""
        return HeldOut(Frames, self.run)

    def synthetic(self, num_rows: int) -> Batch:
        """See `data.synthetic.synthetic_frames`."""
        return synthetic_frames(self.run.data, num_rows)

    @classmethod
    def check(cls, run) -> None:
        """Checks that there is a vision transformer, and crops that it can see."""
        super().check(run)
        vision, augment = run.model.vision, run.dino.augment
        if vision.family != "vit":
            raise UserError(
                f"config.loss {run.loss!r} reads the CLS token of a vision "
                f"transformer; config.model.vision.family is {vision.family!r}: import "
                "such an encoder instead of training it"
            )
        if run.data.features:
            raise UserError(
                "config.data.features are of a frozen encoder, which config.loss "
                f"{run.loss!r} trains; set config.data.features=''"
            )
        sizes = {"global_size": augment.global_size}
        if augment.num_local:
            sizes["local_size"] = augment.local_size
        for name, size in sizes.items():
            agreement.check_multiple(f"dino.augment.{name}", size, vision)

    def flops(self) -> StepFlops:
        """See `dino_flops`."""
        run = self.run
        return dino_flops(run.model.vision, run.dino, run.data.batch_size)
