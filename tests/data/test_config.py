"""Settings that make no sense are refused by name."""

import dataclasses

import pytest

from babyvlm_jax.data.config import DataConfig
from babyvlm_jax.errors import UserError

GOOD = DataConfig(shards="s", tokenizer="t.model", mixture={"pairs": 1.0})


@pytest.mark.parametrize(
    "field,value,message",
    [
        ("mixture", {}, "mixture is empty"),
        ("mixture", {"pairs": 1, "text": 0}, "'text' has weight 0"),
        ("mixture", {"text": float("nan")}, "'text' has weight nan"),
        ("lessons", ({"steps": 0, "mixture": {"pairs": 1}},), "a lesson is"),
        ("lessons", ({"steps": 5},), "data.lessons holds"),
        ("lessons", ({"steps": 5, "mixture": {}},), "mixture is empty"),
        ("template", "baby_v9", "no template 'baby_v9'"),
        ("batch_size", 0, "data.batch_size is 0; it must be >= 1"),
        ("max_images", -1, "data.max_images is -1; it must be >= 0"),
        ("temperature", 0.0, "data.temperature is 0.0"),
        ("temperature", float("inf"), "data.temperature is inf"),
        ("fraction", 0.0, "data.fraction is 0.0"),
        ("fraction", 1.5, "data.fraction is 1.5"),
        ("fraction", float("nan"), "data.fraction is nan"),
        ("rows", "stacked", "data.rows 'stacked' is not one of"),
        ("repeats", 0, "data.repeats is 0"),
    ],
)
def test_refused(field, value, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(GOOD, **{field: value})


def test_row_shape():
    config = dataclasses.replace(GOOD, seq_len=64, max_images=2, image_size=32)
    assert config.row_shape == (64, 2, 32, 197, None)


def test_only_one_side_can_be_measured_alone():
    with pytest.raises(UserError, match="leave nothing to measure"):
        dataclasses.replace(GOOD, only=True, synthetic=True)


def test_weights():
    config = dataclasses.replace(GOOD, mixture={"b": 9.0, "a": 1.0})
    assert config.weights == {"a": 1.0, "b": 9.0}
    warm = dataclasses.replace(config, temperature=2.0).weights
    assert warm == {"a": pytest.approx(1 / 3), "b": 1.0}
