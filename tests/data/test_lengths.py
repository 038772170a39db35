"""Lengths, where records may be cut, and when they are measured anew."""

import numpy as np
import pytest

from babyvlm_jax.data import lengths
from babyvlm_jax.data.conversation import DoesNotFit, encode
from babyvlm_jax.data.lengths import Stops, join
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
        return lengths.record_stops(
            source, tokenizer, "baby_plain", tokens_per_image, dedupe_images
        )

    assert measure().sizes.tolist() == [[1 + 3 * 4 + words, 2]]
    assert measure(dedupe_images=False).sizes.tolist() == [[1 + 3 * 4 + words, 3]]
    assert measure(tokens_per_image=1).sizes.tolist() == [[1 + 3 + words, 2]]
    assert len(list((tmp_path / ".lengths").iterdir())) == 3

    with monkeypatch.context() as patched:
        patched.setattr(lengths, "encode", None)  # would fail if it were called
        assert measure().sizes.tolist() == [[13 + words, 2]]
        assert measure().words.tolist() == [words]
    for path in (tmp_path / ".lengths").iterdir():  # damaged ones are made again
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert measure().words.tolist() == [words]


# <sos>, then four visual tokens, a word and an <eos> for each round
ROUNDS = Stops(
    starts=np.array([0, 1, 4]),
    sizes=np.array([[6, 1], [6, 1], [12, 2], [18, 3], [35, 1]]),
    words=np.array([1, 0, 1, 2, 30]),
)


@pytest.mark.parametrize(
    ("capacity", "sizes", "truncated", "teaches"),
    [
        ((99, 9), [[6, 1], [18, 3], [35, 1]], [0, 0, 0], [1, 1, 1]),
        ((15, 2), [[6, 1], [12, 2], [35, 1]], [0, 1, 0], [1, 1, 1]),
        ((18, 2), [[6, 1], [12, 2], [35, 1]], [0, 1, 0], [1, 1, 1]),
        ((11, 9), [[6, 1], [6, 1], [35, 1]], [0, 1, 0], [1, 0, 1]),
        ((5, 9), [[6, 1], [18, 3], [35, 1]], [0, 0, 0], [1, 1, 1]),
    ],
)
def test_a_long_record_is_cut_behind_the_last_answer_that_fits(
    capacity, sizes, truncated, teaches
):
    found = ROUNDS.in_rows(Capacity(*capacity))
    assert found.sizes.tolist() == sizes
    assert found.truncated.astype(int).tolist() == truncated
    assert found.teaches.astype(int).tolist() == teaches
    assert ROUNDS.whole().sizes.tolist() == [[6, 1], [18, 3], [35, 1]]


def test_some_records_of_several_splits():
    together = join([ROUNDS, ROUNDS.take(np.array([2, 1]))])
    assert together.starts.tolist() == [0, 1, 4, 5, 6]
    assert together.whole().sizes[:, 0].tolist() == [6, 18, 35, 35, 18]
    assert together.take(np.array([4, 0])).words.tolist() == [0, 1, 2, 1]


def _rounds(name, count, said="a"):
    turns = (("human", "<image>"), ("assistant", said)) * count
    return Record(name, "x", tuple(b"%d" % i for i in range(count)), turns)


def test_lengths_are_those_of_the_records_as_they_are_laid(world, tmp_path):
    made = [_rounds("one", 1), _rounds("three", 3), _rounds("wordy", 1, "a " * 30)]
    made.append(Record("open", "x", (), (("assistant", "a"), ("human", "and now"))))
    write_dataset(tmp_path, "demo", {"train": made}, "d")
    tokenizer = Tokenizer.load(world.tokenizer)
    source = RecordSource(tmp_path, "demo", "train")
    stops = lengths.record_stops(source, tokenizer, "baby_v1", 4, True)
    for room in ((99, 9), (15, 2), (12, 9), (3, 0)):
        found = stops.in_rows(Capacity(*room))
        for record, size, cut in zip(source, *found[:2], strict=True):
            try:
                laid = encode(record, tokenizer, "baby_v1", 4, room=room)
            except DoesNotFit:
                assert not cut and (size > room).any()
                continue
            assert size.tolist() == [len(laid.tokens), len(laid.images)]
            assert cut == laid.truncated


@pytest.mark.parametrize(
    ("said", "teaches"),
    [("red", True), ("red \u2603", True), ("\u2603", False), ("\u2603 \u2603", False)],
)
def test_an_answer_of_unknown_words_teaches_nothing(world, tmp_path, said, teaches):
    tokenizer = Tokenizer.load(world.tokenizer)
    turns = (("human", "look at the red ball"), ("assistant", said))
    write_dataset(tmp_path, "demo", {"train": [Record("r", "x", (), turns)]}, "d")
    source = RecordSource(tmp_path, "demo", "train")
    for template in ("baby_v1", "baby_plain", "baby_v1_verbatim"):
        found = lengths.record_stops(source, tokenizer, template, 4, True).whole()
        assert found.teaches.tolist() == [teaches]


def test_a_question_without_an_answer_teaches_nothing(world, tmp_path):
    asked = Record("q", "x", (), (("human", "look at the ball"),))
    write_dataset(tmp_path, "demo", {"train": [asked]}, "d")
    source = RecordSource(tmp_path, "demo", "train")
    tokenizer = Tokenizer.load(world.tokenizer)
    found = lengths.record_stops(source, tokenizer, "baby_v1", 4, True)
    assert found.words.tolist() == [0]
