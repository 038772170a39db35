"""The contrastive phase's config: its figures, and that its parts fit together."""

import json

import jax
import pytest

from babyvlm_jax.aot.programs import abstract_batch, make_program
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import preflight, settings
from babyvlm_jax.training.flops import vision_forward
from babyvlm_jax.training.objectives import make_objective
from babyvlm_jax.training.objectives.contrastive import check_text_heads, pair_flops
from babyvlm_jax.training.optim import matches, split_params
from configs.v1 import contrastive
from tests import tiny, tiny_pairs
from tests.chosen import some

QUICK = (
    "smoke",
    "text=transformer,loss=siglip,finetune,smoke",
    "size=nursery,smoke",
)
ARGS = (
    *QUICK,
    "",
    "finetune",
    "text=transformer",
    "text=transformer,loss=siglip,finetune",
    "size=nursery",
    "size=nursery,text=transformer,loss=siglip",
    "finetune,smoke",
    "text=transformer,smoke",
    "size=nursery,text=transformer,loss=siglip,smoke",
)


def run_of(arg="", **changes):
    c = contrastive.get_config(arg)
    with c.unlocked():
        c.update(changes)
    return settings.from_config(json.loads(c.to_json()))


def test_the_published_figures():
    run = run_of()
    assert (run.data.batch_size, run.data.seq_len) == (8, 25)
    assert run.num_steps == 400 * 8375  # 67,000 pairs / 8, at most 400 epochs
    assert (run.validation.every, run.validation.stop_patience) == (8375, 5)
    assert (run.validation.factor, run.validation.patience) == (0.1, 20)
    optim = run.optim
    assert (optim.name, optim.lr_peak, optim.weight_decay) == ("adamw", 1e-4, 0.1)
    assert (optim.schedule, optim.clip_norm) == ("constant", 0)
    cfg = run.contrastive
    assert (cfg.embed_dim, cfg.temperature, cfg.loss) == (512, 0.07, "infonce")
    assert (cfg.text.vocab_size, cfg.text.width, cfg.pool) == (2350, 512, "mean")
    assert cfg.augmented
    assert cfg.augment.global_scale == (0.2, 1.0)
    assert run.model.vision.width == 2048
    assert run_of("finetune,records=800,epochs=2").num_steps == 200
    mixed = run_of("pairs=filtered-aug,records=800,epochs=2")
    assert mixed.num_steps == 400
    assert mixed.data.datasets == ("filtered", "transferred")
    assert mixed.validation.datasets == ("filtered",)


@pytest.mark.parametrize("arg", some(ARGS, QUICK))
def test_each_form_is_whole(arg):
    run = run_of(arg)
    mesh = tiny.mesh_of(data=2)
    made = make_objective(run)
    preflight.check_run(made, mesh)  # patterns, layout, heads
    assert run.data.image_size == run.model.vision.image_size
    assert (run.num_steps < 10) == ("smoke" in arg)
    with jax.set_mesh(mesh):
        params, extra = made.shapes()
        trained, frozen = split_params(params, run.optim.trains)
        abstract = abstract_batch(made, mesh)
    assert extra["best"].keys() == trained.keys()  # what is frozen has no copy
    # statistics of batch norm are stored, and never to be decayed
    decayed = {name for name in trained | frozen if matches(name, run.optim.decays)}
    assert decayed
    assert not any(name.endswith(("mean", "var")) for name in decayed)
    assert any(name.startswith("vision/") for name in trained) == (
        "finetune" in arg or "nursery" in arg
    )
    assert ("head/log_scale" in trained) == ("siglip" in arg)
    assert abstract["tokens"].shape == (run.data.batch_size, 25)


def test_the_cost_of_a_step_is_that_of_two_towers_and_the_square():
    vision, cfg = tiny_pairs.FORMS["cvcl"]
    found = pair_flops(vision, cfg, 8, 6, ("text", "head"), {"vision": "none"})
    image, width = vision_forward(vision), cfg.embed_dim
    # the frozen tower forward; head and square forward and twice back
    expected = 8 * image.total + 3 * (2 * 8 * vision.width * width)
    expected += 3 * (2 * 2 * 8 * 8 * width)
    assert found.model == expected
    assert found.again == 2 * 2 * 8 * 8 * width
    trained = pair_flops(vision, cfg, 8, 6, ("vision", "text"), {"vision": "none"})
    assert trained.model - found.model == 2 * 8 * image.total


def test_texts_are_no_longer_than_the_tower_s_positions():
    c = contrastive.get_config("text=transformer")
    c.data.seq_len = 33
    with pytest.raises(UserError, match=r"config\.contrastive\.text\.max_len 32"):
        settings.from_config(json.loads(c.to_json()))


def test_only_the_step_of_a_contrastive_phase_can_be_compiled():
    run, mesh = run_of("smoke"), tiny.mesh_of(data=2)
    with jax.set_mesh(mesh), pytest.raises(UserError, match="--what=eval"):
        make_program(run, mesh, "eval")


def test_heads_of_the_text_tower_divide_over_the_mesh():
    run = run_of("text=transformer,smoke")
    with pytest.raises(UserError, match=r"config\.contrastive\.text\.num_heads 8"):
        check_text_heads(run.contrastive, FakeMesh)


class FakeMesh:
    shape = {"tensor": 3}
