"""A tiny world on disk: four datasets and a tokenizer, made once a session."""

import dataclasses
import pathlib

import numpy as np
import pytest

from babyvlm_jax.data import tokenizer
from babyvlm_jax.data.config import DataConfig
from babyvlm_jax.data.images import encode_png
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record, write_dataset


def picture(shade: int, size: int = 8) -> bytes:
    """PNG of one grey."""
    return encode_png(np.full((size, size, 3), shade, np.uint8))


def say(number: int) -> str:
    """Utterance of 1 to 5 words."""
    words = ("look", "at", "the", "red", "ball")
    return " ".join(words[(number + i) % 5] for i in range(number % 5 + 1))


def text_record(i: int) -> Record:
    return Record(f"text{i}", "text", turns=((ASSISTANT, say(i)),))


def frame_record(i: int) -> Record:
    return Record(f"frame{i}", "frames", (picture(i),))


def pair_record(i: int) -> Record:
    turns = ((HUMAN, "<image>"), (ASSISTANT, say(i)))
    return Record(f"pair{i}", "image_utterance", (picture(i),), turns)


def episode_record(i: int) -> Record:
    pictures = tuple(picture(100 + i + k) for k in range(3))
    turns = ((HUMAN, "<image>"), (ASSISTANT, say(i))) * 3
    return Record(f"episode{i}", "interleaved", pictures, turns)


@dataclasses.dataclass(frozen=True)
class World:
    """Paths of the tiny world."""

    shards: pathlib.Path
    tokenizer: pathlib.Path


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    shards = tmp_path_factory.mktemp("shards")
    for name, make, count in (
        ("text", text_record, 40),
        ("frames", frame_record, 10),
        ("pairs", pair_record, 40),
        ("episodes", episode_record, 7),
    ):
        write_dataset(shards, name, {"train": map(make, range(count))}, "tests")
    model = tokenizer.train((say(i) for i in range(40)), 200, ["user:", "assistant:"])
    path = tmp_path_factory.mktemp("tokenizer") / "t.model"
    path.write_bytes(model)
    return World(shards, path)


class Counted:
    """A source that counts what is read of it."""

    def __init__(self, source):
        self.name, self._source, self.reads, self.calls = source.name, source, 0, 0

    def __getitem__(self, index):
        self.reads += 1
        return self._source[index]

    def read(self, indices):
        self.reads += len(indices)
        self.calls += 1
        return self._source.read(indices)


@pytest.fixture
def counted():
    return Counted


@pytest.fixture(scope="session")
def config(world) -> DataConfig:
    return DataConfig(
        shards=str(world.shards),
        tokenizer=str(world.tokenizer),
        mixture={"pairs": 3.0, "episodes": 1.0},
        batch_size=4,
        seq_len=64,
        max_images=7,
        image_size=4,
        tokens_per_image=1,
    )


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


@pytest.fixture
def same():
    return assert_same
