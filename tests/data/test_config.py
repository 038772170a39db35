"""Settings that make no sense are refused by name."""

import dataclasses

import pytest

from babyvlm_jax.data.config import DataConfig
from babyvlm_jax.runtime.errors import UserError

GOOD = DataConfig(shards="s", tokenizer="t.model", mixture={"pairs": 1.0})


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
