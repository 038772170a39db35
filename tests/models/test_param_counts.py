"""Published sizes, from the closed form and from the models themselves."""

import jax
import pytest

from babyvlm_jax.models.config import ResNeXtConfig, ViTConfig, VLMConfig
from babyvlm_jax.models.vision import ENCODERS
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.fields import from_dict
from configs.models import MODELS, ROWS, VISION
from tests import tiny
from tests.chosen import some
from tests.models import param_counts

COUNTS = {
    "nursery": (138_224, 315_776, 623_680),
    "small": (14_567_808, 590_976, 14_894_464),
    "v2": (303_301_632, 6_295_552, 993_552_384),
    "v2-gpt2": (303_301_632, 787_456, 28_292_096),
    "v1": (22_979_904, 590_336, 7_182_336),  # BabyLLaVA
    "v1-nursery": (138_224, 311_680, 693_376),
    "v1-llama": (303_301_632, 6_295_552, 1_100_048_384),  # TinyLlama's decoder
}
ENCODER_COUNTS = {
    "vit-s16": 21_665_664,
    "vit-b16": 85_798_656,
    "vit-b14": 85_706_496,
    "vit-l16": 303_301_632,
    "resnext50": 22_979_904,
}
STATISTICS = 2 * 34_112  # means and variances in a ResNeXt-50, never trained


def abstract(name):
    cfg = from_dict(VLMConfig, MODELS[name])
    with jax.set_mesh(tiny.mesh_of()):
        return cfg, jax.eval_shape(make_model(cfg).init, jax.random.key(0))


def test_every_model_has_a_count_and_a_shape_of_rows():
    assert COUNTS.keys() == MODELS.keys() == ROWS.keys()


@pytest.mark.parametrize("name", some(sorted(MODELS), ("nursery",)))
def test_the_parts_have_their_published_sizes(name):
    cfg, shapes = abstract(name)
    counts = param_counts.param_counts(cfg)
    assert tuple(counts.values()) == COUNTS[name]
    text = cfg.decoder
    tables = 1 if text.tied else 2
    padding = tables * (text.padded_vocab_size - text.vocab_size) * text.width
    stored = {part: tiny.count(tree) for part, tree in shapes.items()}
    assert stored == {
        **counts,
        "vision": counts["vision"] + STATISTICS * (cfg.vision.family == "resnext"),
        "decoder": counts["decoder"] + padding,
    }


@pytest.mark.parametrize("name", sorted(MODELS))
def test_rows_hold_the_pictures_they_have_room_for(name):
    cfg = from_dict(VLMConfig, MODELS[name])
    side, tokens, seq_len, max_images = ROWS[name]
    assert (side, tokens) == (cfg.vision.image_size, cfg.tokens_per_image)
    assert max_images * tokens < seq_len <= cfg.decoder.max_len


@pytest.mark.parametrize("name", sorted(VISION))
def test_each_encoder_has_its_size(name):
    cfg = from_dict(ViTConfig | ResNeXtConfig, VISION[name])
    plain, *options = name.replace("vit-", "vit_").split("-")
    layer_scale = 2 * cfg.width * cfg.num_layers if "ls" in options else 0
    registers = 4 * cfg.width if "reg" in options else 0
    expected = ENCODER_COUNTS[plain.replace("_", "-")] + layer_scale + registers
    assert param_counts.vision_params(cfg) == expected


@pytest.mark.parametrize("name", ["vit-s16", "vit-b16-ls", "vit-b14-ls-reg"])
def test_encoders_are_of_the_counted_size_and_give_their_tokens(name):
    cfg = from_dict(ViTConfig | ResNeXtConfig, VISION[name])
    images = jax.ShapeDtypeStruct((1, cfg.image_size, cfg.image_size, 3), "float32")
    module = ENCODERS[type(cfg)](cfg)
    with jax.set_mesh(tiny.mesh_of()):
        tokens, variables = jax.eval_shape(
            module.init_with_output, jax.random.key(0), images
        )
    assert tiny.count(variables) == param_counts.vision_params(cfg)
    assert tokens.shape == (1, cfg.num_tokens, cfg.width)


def test_tokens_of_a_picture():
    tokens = {
        name: from_dict(ViTConfig | ResNeXtConfig, VISION[name]).num_tokens
        for name in ("vit-b14", "vit-b16", "vit-b16-ls-reg", "resnext50")
    }
    assert tokens == {
        "vit-b14": 257,
        "vit-b16": 197,
        "vit-b16-ls-reg": 197,
        "resnext50": 49,
    }
