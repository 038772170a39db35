"""Atomic writes."""

import os

from babyvlm_jax.runtime import files
from babyvlm_jax.runtime.files import write_atomically


def test_write_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "new" / "file.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file.bin"]


def test_an_object_in_a_bucket_is_written_at_once(monkeypatch):
    written = []

    class Bucket:
        """Knows what an object of a bucket can do: no renaming, no adding."""

        def __init__(self, path):
            self.path = path

        def __str__(self):
            return self.path

        @property
        def parent(self):
            return self

        def mkdir(self, parents, exist_ok):
            assert parents and exist_ok

        def write_bytes(self, data):
            written.append((self.path, data))

    monkeypatch.setattr(files.epath, "Path", Bucket)
    write_atomically("gs://b/run/config.json", b"{}")
    assert written == [("gs://b/run/config.json", b"{}")]
