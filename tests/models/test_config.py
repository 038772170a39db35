"""Exact sizes of the published architecture, and what configs refuse."""

import dataclasses

import jax
import pytest

from babyvlm_jax.models.config import (
    ConnectorConfig,
    DecoderConfig,
    GPT2Config,
    ResNeXtConfig,
    ViTConfig,
    VLMConfig,
)
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from tests import tiny


def shapes(config, parts=("vision", "connector", "decoder")):
    model = make_model(config)
    return jax.eval_shape(lambda key: model.init(key, parts), jax.random.key(0))


def vit_count(cfg):
    """Patch map, CLS, positions; attention, MLP and two norms a layer; last norm."""
    d, f, pixels = cfg.width, cfg.mlp_dim, cfg.patch_size**2 * 3
    layer = 4 * (d * d + d) + (d * f + f) + (f * d + d) + 4 * d
    return pixels * d + d + d + cfg.num_tokens * d + cfg.num_layers * layer + 2 * d


def decoder_count(cfg):
    """q, k, v, o, three MLP maps and two norms a layer; last norm, table, head."""
    d, f = cfg.width, cfg.mlp_dim
    q, kv = cfg.num_heads * cfg.head_dim, cfg.num_kv_heads * cfg.head_dim
    layer = d * q + 2 * d * kv + q * d + 3 * d * f + 2 * d
    return cfg.num_layers * layer + d + 2 * cfg.padded_vocab_size * d


def test_the_default_is_the_published_model_to_the_parameter():
    cfg = VLMConfig()
    assert cfg.vision.num_tokens == cfg.tokens_per_image == 197
    assert cfg.decoder.padded_vocab_size == 6016
    assert cfg.decoder.head_dim == 64
    params = shapes(cfg)
    counts = {part: tiny.count(tree) for part, tree in params.items()}
    assert counts == {
        "vision": vit_count(cfg.vision),
        "connector": (1024 * 2048 + 2048) + (2048 * 2048 + 2048),
        "decoder": decoder_count(cfg.decoder),
    }
    assert counts["vision"] == 303_301_632  # ViT-L/16 without a head
    assert counts["connector"] == 6_295_552


def test_with_the_vocabulary_of_tinyllama_the_decoder_has_its_size():
    cfg = VLMConfig(decoder=DecoderConfig(vocab_size=32000))
    assert tiny.count(shapes(cfg, ("decoder",))) == 1_100_048_384


def test_options_cost_what_they_say():
    plain, every = tiny.FORMS["official"], tiny.FORMS["nursery"]
    official = {part: tiny.count(tree) for part, tree in shapes(plain).items()}
    nursery = {part: tiny.count(tree) for part, tree in shapes(every).items()}
    assert official["vision"] == vit_count(plain.vision)
    assert official["decoder"] == decoder_count(plain.decoder)
    # two convolutions, 4x4x3 -> 16 and 3x3x16 -> 16, for one map 4x4x3 -> 16
    convs = (48 * 16 + 16) + (144 * 16 + 16)
    assert nursery["vision"] - official["vision"] == convs - (48 * 16 + 16)
    # 5 tokens of 16 at once -> 32 -> one token of 32; four ordinals
    assert nursery["connector"] == (5 * 16 * 32 + 32) + (32 * 32 + 32) + 4 * 32
    # two layers with two QK norms of 8; no head
    assert nursery["decoder"] - official["decoder"] == 2 * 2 * 8 - 128 * 32


@pytest.mark.integration
def test_layer_scale_adds_two_vectors_a_layer():
    scaled = VLMConfig(
        ViTConfig(**{**vars(tiny.VISION), "layer_scale": 1e-5}),
        ConnectorConfig(hidden_dim=32),
        tiny.DECODER,
    )
    base = tiny.count(shapes(tiny.FORMS["official"]))
    assert tiny.count(shapes(scaled)) - base == 2 * 16


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ViTConfig(image_size=225), "image_size is 225"),
        (lambda: ViTConfig(width=1025), "width is 1025"),
        (lambda: DecoderConfig(num_kv_heads=5), "num_heads is 32"),
        (lambda: DecoderConfig(width=2), "width is 2"),
        (lambda: DecoderConfig(rope_fraction=0.3), "rope_fraction is 0.3"),
        (lambda: ResNeXtConfig(image_size=200), "image_size is 200"),
        (lambda: GPT2Config(num_heads=7), "width is 256"),
    ],
)
def test_sizes_that_do_not_divide_are_named(make, named):
    with pytest.raises(UserError, match=named):
        make()


def test_from_dict_builds_what_is_nested():
    cfg = from_dict(VLMConfig, {"vision": {"width": 64, "num_heads": 4}})
    assert cfg.vision == ViTConfig(width=64, num_heads=4)
    assert cfg.decoder == DecoderConfig()


def test_family_chooses_the_parts():
    values = {"vision": {"family": "resnext"}, "decoder": {"family": "gpt2"}}
    cfg = from_dict(VLMConfig, values)
    assert cfg.vision == ResNeXtConfig()
    assert cfg.decoder == GPT2Config()
    assert cfg.tokens_per_image == 49
    again = from_dict(VLMConfig, dataclasses.asdict(cfg))
    assert again == cfg
