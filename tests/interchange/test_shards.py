"""Weights come back as they were written, from one file and from shards."""

import json

import numpy as np
import pytest

from babyvlm_jax.interchange.shards import write_weights
from babyvlm_jax.interchange.weights import open_weights

LEAVES = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.full((4,), 0.1, np.float32),
    "c": np.array(7.0, np.float32),
}
SHAPES = {name: leaf.shape for name, leaf in LEAVES.items()}


def read(folder):
    return {name: leaf.read() for name, leaf in open_weights(folder).items()}


def same(found):
    return found.keys() == LEAVES.keys() and all(
        np.array_equal(found[name], LEAVES[name]) for name in LEAVES
    )


def test_one_file(tmp_path):
    write_weights(tmp_path, LEAVES.items(), SHAPES)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert same(read(tmp_path))


def test_shards_and_their_index(tmp_path):
    write_weights(tmp_path, LEAVES.items(), SHAPES, shard_bytes=24)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 44
    assert index["weight_map"] == {
        "a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors",
        "c": "model-00002-of-00002.safetensors",
    }
    assert same(read(tmp_path))


def test_leaves_out_of_order_are_a_bug(tmp_path):
    with pytest.raises(ValueError, match="came for a"):
        write_weights(tmp_path, reversed(LEAVES.items()), SHAPES)
