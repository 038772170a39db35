"""Running out of open files stops a job; it is no damage, and leaves no data out."""

import contextlib
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.data.images import read_image
from babyvlm_jax.data.schema import Record, write_dataset
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.items import ItemSet, read_items
from babyvlm_jax.evals.rescoring import PREDICTIONS
from babyvlm_jax.evals.results import read_lines
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.interchange.weights import open_weights
from babyvlm_jax.runtime.errors import SystemFault, UserError
from babyvlm_jax.runtime.json_fields import read_json
from data_prep import video
from data_prep.devcv.source import read_folder
from data_prep.importing.pictures import read_picture
from data_prep.importing.reading import _opened
from data_prep.nursery.sprites import _fault
from data_prep.raw import Recording
from data_prep.stages import recording


@contextlib.contextmanager
def _no_files_left():
    with open(os.devnull) as lowest:
        free = lowest.fileno()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


READERS = {
    "import": lambda path: read_picture(path.parent, path.name),
    "coco": lambda path: list(read_folder(path.parent, {0: path.name}, [0], [])),
    "sprite": _fault,
    "video": lambda path: video._open(path).__enter__(),
    "image": read_image,
    "json": read_json,
    "parquet": _opened,
    "tokenizer": Tokenizer.load,
    "safetensors": lambda path: open_weights(
        path.rename(path.with_name("a.safetensors"))
    ),
    "answers": lambda path: read_lines(path.rename(path.with_name(PREDICTIONS)).parent),
}


@pytest.mark.parametrize("name", READERS)
def test_running_out_of_open_files_stops_the_job(tmp_path: Path, name):
    path = tmp_path / "a.png"  # what it holds is never seen
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    with _no_files_left(), pytest.raises(UserError, match="ulimit -n"):
        READERS[name](path)


def test_a_recording_is_not_left_out_because_of_the_system(monkeypatch):
    def refused(*_):
        raise SystemFault("x.mp4: No space left on device; make room")

    monkeypatch.setattr(recording, "_prepare", refused)
    one = Recording("A/1", "A", 10, "train", 1.0, None)
    with pytest.raises(SystemFault):
        recording.prepare(None, one, "train", None)


def test_an_item_is_not_left_out_because_of_the_system(tmp_path):
    write_dataset(tmp_path, "devcv_count", {"test": [Record("a", "eval/count")]}, "d")
    item_set = ItemSet("", str(tmp_path), TASKS["count"], "test")
    item_set.open()  # has its files listed
    with _no_files_left(), pytest.raises(SystemFault, match="ulimit -n"):
        read_items(item_set, 0, False)
