"""A small folder of datasets and a tokenizer, made once a session."""

import io
import pathlib
from typing import NamedTuple

import pytest
from PIL import Image

from babyvlm_jax.data import tokenizer
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record, write_dataset


class Shelf(NamedTuple):
    """Paths of the shards and of the tokenizer."""

    shards: pathlib.Path
    tokenizer: pathlib.Path


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (12, 8), (shade, 0, 0)).save(out, "JPEG")
    return out.getvalue()


def pair(i: int) -> Record:
    said = ("look at the red ball", "ball", "the red ball is there")[i % 3]
    turns = ((HUMAN, "<image>"), (ASSISTANT, said))
    return Record(f"pair{i}", "image_utterance", (picture(i),), turns)


def text(i: int) -> Record:
    return Record(f"text{i}", "text", (), ((ASSISTANT, "look at the <b>red</b> ball"),))


def frame(i: int) -> Record:
    return Record(f"frame{i}", "frames", (b"damaged" if i == 0 else picture(i),))


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Shelf:
    shards = tmp_path_factory.mktemp("shelf")
    for name, make, sizes in (
        ("pairs", pair, {"train": 30, "val": 3}),
        ("text", text, {"train": 4}),
        ("frames", frame, {"train": 2}),
    ):
        splits = {split: map(make, range(size)) for split, size in sizes.items()}
        write_dataset(shards, name, splits, "tests")
    said = ["look at the red ball", "there is the ball", "red"] * 9
    path = shards.parent / "shelf.model"
    path.write_bytes(tokenizer.train(said, 120, ["user:", "assistant:"]))
    return Shelf(shards, path)
