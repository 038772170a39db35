"""Running out of open files stops a job; it is no reason to leave data out."""

import contextlib
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.errors import UserError
from data_prep import video
from data_prep.devcv.coco import FolderReader
from data_prep.importing.pictures import read_picture
from data_prep.nursery.sprites import _fault


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
    "coco": lambda path: list(FolderReader(path.parent, {0: path.name})([0], [])),
    "sprite": _fault,
    "video": lambda path: video._open(path).__enter__(),
}


@pytest.mark.parametrize("name", READERS)
def test_running_out_of_open_files_stops_the_job(tmp_path: Path, name):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    with _no_files_left(), pytest.raises(UserError, match="ulimit -n"):
        READERS[name](path)
