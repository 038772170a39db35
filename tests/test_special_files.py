"""A pipe, a device or a folder where a file is expected: every reader says so at once.

Opening a pipe waits until somebody writes into it, and /dev/zero never ends.
"""

import os
import pathlib
import signal

import pytest

from babyvlm_jax.data.images import read_image
from babyvlm_jax.data.record_files import hashes_path
from babyvlm_jax.data.schema import (
    INFO,
    Record,
    RecordSource,
    dataset_dir,
    write_dataset,
)
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals import results
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.interchange.weights import open_weights
from babyvlm_jax.report import collect
from babyvlm_jax.runtime import command, json_fields
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.training import settings
from babyvlm_jax.training.checkpoint import whole
from configs import resolved
from configs.eval import devcv
from data_prep import jobs, video
from data_prep.devcv.vocabulary import read_lines
from data_prep.importing.reading import _opened, read_values
from data_prep.nursery.sprites import caption_of
from data_prep.v1bench.csvs import read_items

KINDS = {"a pipe": os.mkfifo, "a folder": os.mkdir}
KINDS["a device"] = lambda path: path.symlink_to("/dev/zero")


def parse_config(path):
    words = ["train", f"--config={path}:smoke"]
    command.parse(words, command.make_flags(workdir=False), ["config"])


def evaluate_with(**given):
    values = {**devcv.get_config().to_dict(), "shards": ".", **given}
    from_dict(EvalConfig, values)


# (name of the file, what reads it)
READERS = {
    "image": ("a.png", read_image),
    "video": ("a.mp4", lambda path: list(video.read_frames(path))),
    "hash": ("a.json", jobs.sha256),
    "json": ("a.json", json_fields.read_json),
    "list": ("a.json", lambda path: list(read_values(path, print))),
    "csv": ("a.csv", read_items),
    "words": ("words.txt", lambda path: read_lines(path, "--words")),
    "parquet": ("a.parquet", _opened),
    "tokenizer": ("t.model", Tokenizer.load),
    "safetensors": ("model.safetensors", lambda path: open_weights(path.parent)),
    "index": ("model.safetensors.index.json", lambda path: open_weights(path.parent)),
    "pickle": ("weights.bin", lambda path: open_weights(path.parent)),
    "config file": ("config.py", parse_config),
    "resolved config": ("config.json", resolved.get_config),
    "config of a run": ("config.json", lambda path: settings.read_config(path.parent)),
    "predictions": ("p.jsonl", lambda path: evaluate_with(predictions=str(path))),
    "their tokenizer": (
        "t.model",
        lambda path: evaluate_with(checkpoint=".", tokenizer=str(path)),
    ),
    "results": ("results.json", results.read_json),
    "lines": ("predictions.jsonl", lambda path: results.read_lines(path.parent)),
    "curve": ("metrics.jsonl", lambda path: list(collect._logged(path))),
    "checkpoint": ("array", whole._read),
}


@pytest.fixture(autouse=True)
def a_second():
    """Ends a test that waits."""

    def stop(*_):
        raise KeyboardInterrupt("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused_by_name(tmp_path, reader, kind):
    name, read = READERS[reader]
    KINDS[kind](tmp_path / name)
    with pytest.raises(UserError) as told:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(told.value)
    assert f"no file but {kind}" in str(told.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["shard", "hashes", "description"])
def test_shards_that_are_no_files_are_refused_by_name(tmp_path, which, kind):
    write_dataset(tmp_path, "text", {"train": [Record("a", "text")]}, "d")
    folder = dataset_dir(tmp_path, "text")
    shard = next(folder.glob("*.array_record*"))
    path = {"shard": shard, "hashes": hashes_path(shard), "description": folder / INFO}
    path = pathlib.Path(path[which])
    path.unlink()
    KINDS[kind](path)
    with pytest.raises(UserError, match=f"{path.name}.*no file but {kind}"):
        RecordSource(tmp_path, "text", "train")


def test_a_sprite_s_note_that_is_a_pipe_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "apple.txt")
    assert caption_of(tmp_path / "apple.png") == "an apple"
