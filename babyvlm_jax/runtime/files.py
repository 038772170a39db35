"""Files that appear whole or not at all, on disk or in a bucket."""

import os
import uuid
from collections.abc import Callable

from etils import epath


def split_list(text: str, is_item: Callable[[str], bool]) -> list[str]:
    """Splits a list at its commas, but for those within the name of a folder.

    "a,b,c" gives ["a,b", "c"] where there is a folder "a,b".

    Args:
        text: items with commas between them.
        is_item: whether several pieces with their commas are one item; the longest
            that is counts, and a single piece always may be one.
    """
    pieces, items = text.split(","), []
    while pieces:
        ends = range(len(pieces), 1, -1)
        end = next((n for n in ends if is_item(",".join(pieces[:n]))), 1)
        items.append(",".join(pieces[:end]))
        del pieces[:end]
    return [item for item in items if item]


def is_there(path: str) -> bool:
    """Whether a path names something on a disk; buckets are not asked."""
    return bool(path) and "://" not in path and os.path.exists(path)


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
