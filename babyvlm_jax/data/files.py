"""Files that appear whole or not at all, on disk or in a bucket."""

import os
import uuid

from etils import epath


def write_atomically(path: str | os.PathLike, data: bytes) -> epath.Path:
    """Writes `data` beside `path` and renames, so that a reader sees all or nothing.

    Args:
        path: the file; its folder is made if absent, an existing file is replaced.
        data: its content.

    Returns:
        The path.
    """
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    beside.write_bytes(data)
    beside.replace(path)
    return path
