"""Files that appear whole or not at all, on disk or in a bucket."""

import os
import uuid

from etils import epath


def write_atomically(path: str | os.PathLike, data: bytes) -> epath.Path:
    """Writes `data` so that a reader sees all or nothing.

    On a disk it is written beside `path` and renamed. An object in a bucket appears
    with its last byte, and has no rename.

    Args:
        path: the file; its folder is made if absent, an existing file is replaced.
        data: its content.

    Returns:
        The path.
    """
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if "://" in str(path):
        path.write_bytes(data)
        return path
    beside = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    beside.write_bytes(data)
    beside.replace(path)
    return path
