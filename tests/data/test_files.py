"""Atomic writes."""

import os

from babyvlm_jax.data.files import write_atomically


def test_write_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "new" / "file.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file.bin"]
