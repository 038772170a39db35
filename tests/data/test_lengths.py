"""Lengths, and when they are measured anew."""

import numpy as np

from babyvlm_jax.data import lengths
from babyvlm_jax.data.packing import Capacity
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


def test_a_long_record_is_measured_as_it_is_cut(world, tmp_path):
    def record(name, rounds, said="a"):
        turns = (("human", "<image>"), ("assistant", said)) * rounds
        return Record(name, "x", tuple(b"%d" % i for i in range(rounds)), turns)

    made = [record("one", 1), record("three", 3), record("wordy", 1, "a " * 30)]
    write_dataset(tmp_path, "demo", {"train": made}, "d")
    tokenizer = Tokenizer.load(world.tokenizer)
    source = RecordSource(tmp_path, "demo", "train")
    assert len(tokenizer.encode("a")) == 1
    arguments = (source, tokenizer, "baby_plain", 4, True)
    ids = [item.id for item in source]
    for _ in range(2):  # measured, then kept
        whole, cut = lengths.lengths_in_rows(*arguments, Capacity(15, 2))
        found = {
            n: (*map(int, x), bool(c)) for n, x, c in zip(ids, whole, cut, strict=True)
        }
        # <sos>, then four visual tokens, a word and an <eos> for each round
        assert found == {
            "one": (6, 1, False),
            "three": (12, 2, True),
            "wordy": (35, 1, False),
        }
    assert lengths.lengths_in_rows(*arguments, Capacity(99, 9))[1].sum() == 0
