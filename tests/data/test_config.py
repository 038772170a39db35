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
        ("template", "baby_v9", "no template 'baby_v9'"),
        ("batch_size", 0, "data.batch_size is 0; it must be >= 1"),
        ("max_images", -1, "data.max_images is -1; it must be >= 0"),
        ("repeats", 0, "data.repeats is 0"),
    ],
)
def test_refused(field, value, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(GOOD, **{field: value})


def test_row_shape():
    config = dataclasses.replace(GOOD, seq_len=64, max_images=2, image_size=32)
    assert config.row_shape == (64, 2, 32, 197)
