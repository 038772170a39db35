"""Closed-form FLOPs against sums by hand."""

import dataclasses

import jax
import pytest

from babyvlm_jax.models.config import DinoConfig, ResNeXtConfig, VLMConfig
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.training import flops
from babyvlm_jax.training.flops import Forward, StepFlops, train_flops
from babyvlm_jax.training.objectives.dino import dino_flops
from tests import tiny
from tests.models import param_counts
from tests.programs import product_flops

V2 = VLMConfig()


def test_a_decoder_takes_two_flops_a_weight_and_token():
    cost = flops.decoder_forward(V2.decoder, 100)
    text = V2.decoder
    tables = text.vocab_size * text.width
    norms = (2 * text.num_layers + 1) * text.width
    weights = param_counts.decoder_params(text) - tables - norms
    assert cost.weights == 2 * 100 * weights
    # 22 layers of 32 heads of 64; 1 + 2 + ... + 100 pairs, scores and averages
    assert cost.attention == 22 * 32 * 64 * 5050 * 2 * 2


def test_an_encoder_takes_two_flops_a_weight_and_token():
    cost = flops.vision_forward(V2.vision)
    layer = 4 * 1024**2 + 2 * 1024 * 4096
    assert cost.weights == 2 * (196 * 768 * 1024 + 24 * 197 * layer)
    assert cost.attention == 24 * 197**2 * 1024 * 2 * 2


def test_the_connector_runs_on_every_token():
    cost = flops.connector_forward(V2)
    assert cost == Forward(2 * 197 * (1024 * 2048 + 2048 * 2048))


def test_a_connector_may_take_all_tokens_together():
    cfg = tiny.FORMS["nursery"]
    assert (cfg.vision.num_tokens, cfg.decoder.width) == (5, 32)
    cost = flops.connector_forward(cfg)
    assert cost == Forward(2 * (5 * 16 * 32 + 32 * 32))


@pytest.mark.integration
def test_a_row_costs_what_the_forward_pass_multiplies():
    cfg, length = tiny.FORMS["official"], 24
    model = make_model(cfg)
    batch = tiny.random_rows(cfg, 0, num_rows=1)
    with jax.set_mesh(tiny.mesh_of()):
        params = jax.eval_shape(lambda: model.init(jax.random.key(0)))
        program = jax.make_jaxpr(model.forward)(params, batch).jaxpr
    cost = flops.row_forward(cfg, tuple(params), length, max_images=2)
    # XLA's attention looks at all pairs, and the table has rows that are never chosen
    others = cost["decoder"].attention * (2 * length / (length + 1) - 1)
    text = cfg.decoder
    padding = 2 * length * text.width * (text.padded_vocab_size - text.vocab_size)
    total = sum(part.total for part in cost.values())
    assert product_flops(program) == total + others + padding


def test_a_resnext_costs_what_torchvision_says():
    # resnext50_32x4d: 4.23 G multiply-adds, of which the classifier takes 2048 x 1000
    cost = flops.vision_forward(ResNeXtConfig()).total / 2 + 2048 * 1000
    assert round(cost / 1e9, 2) == 4.23


ROW = {"vision": Forward(100, 10), "connector": Forward(20), "decoder": Forward(50, 6)}


@pytest.mark.parametrize(
    ("trained", "model"),
    [
        ((), 110 + 20 + 56),
        (("decoder",), 110 + 20 + 3 * 56),
        # the decoder hands gradients on: no gradient of its weights
        (("connector",), 110 + 3 * 20 + 2 * 50 + 3 * 6),
        (("connector", "decoder"), 110 + 3 * 20 + 3 * 56),
        (("vision", "connector", "decoder"), 3 * (110 + 20 + 56)),
    ],
)
def test_frozen_parts_cost_what_they_must(trained, model):
    assert train_flops(ROW, trained, {}) == StepFlops(model, 0)


@pytest.mark.parametrize(
    ("policy", "again"), [("none", 0), ("dots", 0), ("attention", 50), ("full", 56)]
)
def test_remat_is_counted_apart(policy, again):
    remat = {"vision": "full", "decoder": policy}
    assert train_flops(ROW, ("decoder",), remat) == StepFlops(298, again)


def test_dino_has_a_teacher_of_two_crops_and_a_student_of_all():
    vit = dataclasses.replace(V2.vision, remat="none")
    cfg = DinoConfig()
    big = flops.vision_forward(vit, 224).total
    small = flops.vision_forward(vit, 96).total
    head = 2 * (1024 * 2048 + 2048**2 + 2048 * 256 + 256 * 65536)
    expected = 2 * (big + head) + 3 * (2 * big + 8 * small + 10 * head)
    assert dino_flops(vit, cfg, 5) == StepFlops(5 * expected, 0)
    again = dino_flops(V2.vision, cfg, 5).again
    assert again == 5 * (2 * big + 8 * small)


def test_an_answer_sees_the_prompt_and_itself():
    text = V2.decoder
    cost = flops.decode_flops(text, prompt_len=10, num_tokens=2)
    assert cost.weights == 2 * flops.decoder_forward(text, 1).weights
    assert cost.attention == 22 * 32 * 64 * (11 + 12) * 2 * 2
