"""Lengths, and when they are measured anew."""

import numpy as np

from babyvlm_jax.data import lengths
from babyvlm_jax.data.schema import Record, RecordSource, write_dataset
from babyvlm_jax.data.tokenizer import Tokenizer

TWICE = Record(
    "twice", "x", (b"1", b"2", b"1"), (("human", "<image>" * 3), ("assistant", "a"))
)


def test_lengths_are_kept_beside_the_shards(world, tmp_path, monkeypatch):
    write_dataset(tmp_path, "demo", {"train": [TWICE]}, "d")
    tokenizer = Tokenizer.load(world.tokenizer)
    words = len(tokenizer.encode("a"))

    def measure(tokens_per_image=4, dedupe_images=True):
        source = RecordSource(tmp_path, "demo", "train")
        return lengths.record_lengths(
            source, tokenizer, "baby_plain", tokens_per_image, dedupe_images
        )

    assert measure().tolist() == [[1 + 3 * 4 + words, 2]]
    assert measure(dedupe_images=False).tolist() == [[1 + 3 * 4 + words, 3]]
    assert measure(tokens_per_image=1).tolist() == [[1 + 3 + words, 2]]
    assert len(list((tmp_path / ".lengths").iterdir())) == 3

    monkeypatch.setattr(lengths, "encode", None)  # would fail if it were called
    np.testing.assert_array_equal(measure(), [[13 + words, 2]])
