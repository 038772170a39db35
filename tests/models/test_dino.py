"""Self-distillation: who learns from whom, and what the centre and teacher become."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.models import dino
from babyvlm_jax.models.config import AugmentConfig, DinoConfig
from babyvlm_jax.models.vision import ViT
from babyvlm_jax.training.objectives import dino as learning
from tests import tiny, tiny_run

CFG = DinoConfig(
    head_hidden_dim=16,
    head_bottleneck_dim=8,
    num_prototypes=12,
    center_momentum=0.75,
    teacher_momentum=0.9,
    augment=AugmentConfig(global_size=8, local_size=4, num_local=1),
)


def objective():
    run = tiny_run.settings_of(tiny_run.vision_config)
    model = dataclasses.replace(run.model, vision=tiny.VISION)
    return learning.Objective(dataclasses.replace(run, model=model, dino=CFG))


@pytest.fixture(scope="module")
def begun():
    """Fresh (params, extra), a centre, a step's loss and gradients, the views' scores.

    In one jitted function each: what this costs is compiling. The views are noise:
    `test_augment` has the crops.
    """
    rng = np.random.default_rng(0)
    big = rng.random((2, 3, 8, 8, 3), np.float32)
    small = rng.random((1, 3, 4, 4, 3), np.float32)

    def scores(params, views):
        cls = ViT(tiny.VISION).apply({"params": params["vision"]}, views)[:, 0]
        return dino.DinoHead(CFG).apply({"params": params["head"]}, cls)

    @jax.jit
    def step(params, center):
        loss = objective().loss
        result = jax.value_and_grad(loss, has_aux=True)(
            params, {"center": center}, {"images": None}, None
        )
        seen = scores(params, big.reshape(-1, 8, 8, 3)).reshape(2, 3, -1)
        return result, [*seen, scores(params, small[0])]

    center = jnp.arange(12.0) / 10
    with jax.set_mesh(tiny.mesh_of()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "multi_crop", lambda key, images, cfg: (big, small))
        student = jax.jit(objective().model.init)(jax.random.key(0))
        made, extra = jax.jit(objective().made)(student)
        fresh = student | made, extra
        result, views = step(fresh[0], center)
    return fresh, center, result, views


def test_the_teacher_begins_as_the_student_and_the_centre_at_zero(begun):
    (params, extra), _, _, _ = begun
    student = {name: params[name] for name in ("vision", "head")}
    jax.tree.map(np.testing.assert_array_equal, params["teacher"], student)
    assert extra["center"].tolist() == [0.0] * 12


def test_loss_and_centre_from_the_views(begun):
    _, center, ((total, (sums, extra)), _), (first, second, local) = begun
    mean = np.concatenate([first, second]).mean(axis=0)
    np.testing.assert_allclose(extra["center"], 0.75 * center + 0.25 * mean, atol=1e-5)

    def cross(teacher, student):
        target = jax.nn.softmax((teacher - center) / 0.04)
        return -jnp.sum(target * jax.nn.log_softmax(student / 0.1))

    expected = (
        cross(first, second)
        + cross(first, local)
        + cross(second, first)
        + cross(second, local)
    )
    # cosines pass a softmax of temperature .04, which magnifies rounding 25 times
    np.testing.assert_allclose(total, expected, rtol=1e-4)
    assert float(sums["count"]) == 4 * 3


def test_scores_are_cosines_and_only_the_student_gets_gradients(begun):
    _, _, (_, grads), _ = begun
    teacher = [float(jnp.abs(g).max()) for g in jax.tree.leaves(grads["teacher"])]
    assert max(teacher) == 0.0
    assert float(jnp.abs(grads["vision"]["cls"]).max()) > 0
    assert float(jnp.abs(grads["head"]["prototypes"]).max()) > 0
    x = jax.random.normal(jax.random.key(0), (5, 16))
    head = jax.jit(lambda x: dino.DinoHead(CFG).init_with_output(jax.random.key(1), x))
    cosines, _ = head(100 * x)
    assert float(jnp.abs(cosines).max()) <= 1.0


def test_the_teacher_follows_slowly():
    update = objective().after_update
    params = {
        "vision": {"w": jnp.array([2.0])},
        "head": {"w": jnp.array([0.0])},
        "teacher": {"vision": {"w": jnp.array([1.0])}, "head": {"w": jnp.array([4.0])}},
    }
    after = update(params)
    assert float(after["teacher"]["vision"]["w"][0]) == pytest.approx(1.1)
    assert float(after["teacher"]["head"]["w"][0]) == pytest.approx(3.6)
    assert after["vision"] is params["vision"]
