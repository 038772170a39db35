"""Tells whether a checkpoint is whole: a list of its files goes in with it, last.

What a kill leaves behind has another name or no list; a copy that broke off, a disk
that lost what it had not written yet, or a deletion that was cut short leaves a file
that is missing or shorter than listed. A bit that flipped leaves a file of another
hash: `fault` looks at sizes and costs nothing, `damage` reads the files.

The list's first edition is {"sizes": {name: bytes}}; the second adds "edition",
"blake2b" {name: hash} and "stamp", the hash of Orbax's own note but for its times.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import json
from collections.abc import Collection
from typing import Any

from etils import epath

from babyvlm_jax.runtime.errors import UserError, check_file, explain_system_fault
from babyvlm_jax.runtime.files import write_atomically

LIST = "files.json"
EDITION = 2
# Orbax writes these when it puts the finished checkpoint in its place.
STAMP = "_CHECKPOINT_METADATA"
COMMITTED = "commit_success.txt"
_TIMES = ("init_timestamp_nsecs", "commit_timestamp_nsecs")


class _NotWhole(Exception):
    """What is missing or damaged."""


def seal(folder) -> None:
    """Writes the list of a folder's files, their sizes and hashes, into it."""
    folder = epath.Path(folder)
    sizes = _sizes(folder, "")
    for name in (STAMP, COMMITTED, LIST):
        sizes.pop(name, None)
    names = sorted(sizes)
    listed = {
        "edition": EDITION,
        "sizes": {name: sizes[name] for name in names},
        "blake2b": dict(zip(names, _hashes(folder, names), strict=True)),
        "stamp": _stamp_hash(_read_json(folder / STAMP)),
    }
    write_atomically(folder / LIST, json.dumps(listed).encode())


def upgrade(folder) -> bool:
    """Adds hashes to the list of an earlier edition; False if it has them already.

    Args:
        folder: the checkpoint, of which `fault` and `damage` find none.
    """
    if has_hashes(folder):
        return False
    seal(folder)
    return True


def fault(folder) -> str | None:
    """Why a checkpoint is not whole as far as sizes tell, or None.

    Raises:
        UserError: a file is there and cannot be read.
    """
    folder = epath.Path(folder)
    try:
        _check_sizes(folder, _read_list(folder))
    except _NotWhole as why:
        return str(why)
    return None


def damage(
    folder, items: Collection[str], index: int = 0, count: int = 1
) -> str | None:
    """Why files of a checkpoint are not as they were written, or None; reads them.

    A list of the first edition has no hashes: only the descriptions of arrays are
    looked at.

    Args:
        folder: the checkpoint, of which `fault` finds none.
        items: `params`, `train`, `data`: those that are to be read.
        index: of the share that this call looks at, where several processes divide
            the files among themselves.
        count: of the shares.

    Raises:
        UserError: a file is there and cannot be read.
    """
    folder = epath.Path(folder)
    try:
        listed = _read_list(folder)
        names = [n for n in listed["sizes"] if n.partition("/")[0] in items]
        names.sort(key=lambda name: (-listed["sizes"][name], name))
        names = names[index::count]
        if "blake2b" not in listed:
            for name in names:
                if name.rpartition("/")[2].strip("_").lower() == "metadata":
                    _need_object(name, _read_json(folder / name))
            return None
        for name, found in zip(names, _hashes(folder, names), strict=True):
            if found != listed["blake2b"][name]:
                return f"{name} is not as it was written"
    except _NotWhole as why:
        return str(why)
    return None


def has_hashes(folder) -> bool:
    """Whether the list is of an edition with hashes."""
    return "blake2b" in _read_list(epath.Path(folder))


def fingerprint(folder) -> str:
    """Of a whole checkpoint's parameters, wherever it is; from the list alone."""
    listed = _read_list(epath.Path(folder))
    # names of the first edition's files are random, so that sizes suffice
    marks = listed.get("blake2b", listed["sizes"])
    kept = {name: mark for name, mark in marks.items() if name.startswith("params/")}
    return _hash_of(kept)[:16]


def _hash_of(value) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _read_list(folder) -> dict[str, Any]:
    listed = _need_object(LIST, _read_json(folder / LIST))
    if set(listed) not in ({"sizes"}, {"edition", "sizes", "blake2b", "stamp"}):
        raise _NotWhole(f"{LIST} has the keys {sorted(listed)}, none of its editions'")
    sizes = _need_object(f"{LIST}: sizes", listed["sizes"])
    if not all(type(size) is int for size in sizes.values()):
        raise _NotWhole(f"{LIST} has sizes that are no numbers")
    if not any(name.startswith("params/") for name in sizes):
        raise _NotWhole(f"{LIST} lists no parameters")
    if "edition" not in listed:
        return listed
    hashes = _need_object(f"{LIST}: blake2b", listed["blake2b"])
    if listed["edition"] != EDITION or hashes.keys() != sizes.keys():
        raise _NotWhole(f"{LIST} is of an edition that is not known, or inconsistent")
    return listed


def _check_sizes(folder, listed) -> None:
    stamp = _need_object(STAMP, _read_json(folder / STAMP))
    if type(stamp.get("commit_timestamp_nsecs")) is not int:
        raise _NotWhole(f"{STAMP} has no time of completion")
    if listed.get("stamp", "") not in ("", _stamp_hash(stamp)):
        raise _NotWhole(f"{STAMP} is not as it was written")
    committed = _read(folder / COMMITTED).decode(errors="replace")
    if not committed.endswith(f"/{folder.parent.name}/{folder.name}"):
        raise _NotWhole(f"{COMMITTED} is cut short")
    found = _sizes(folder, "")
    for name, size in listed["sizes"].items():
        if found.get(name) != size:
            raise _NotWhole(f"{name} has {found.get(name)} bytes of {size}")
    for name in found.keys() - listed["sizes"].keys():
        if "/" in name and not name.rpartition("/")[2].startswith("."):
            raise _NotWhole(f"{name} is not listed")


def _sizes(folder, prefix):
    sizes = {}
    for path in folder.iterdir():
        if path.is_dir():
            sizes |= _sizes(path, f"{prefix}{path.name}/")
        else:
            sizes[prefix + path.name] = path.stat().length
    return sizes


def _hashes(folder, names) -> list[str]:
    # hashing leaves the interpreter to others; a bucket answers several at once
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(lambda name: _hash(folder / name), names))


def _hash(path) -> str:
    make = functools.partial(hashlib.blake2b, digest_size=16)
    with _reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, make).hexdigest()


def _stamp_hash(stamp) -> str:
    return _hash_of({key: stamp[key] for key in stamp if key not in _TIMES})


def _read_json(path) -> Any:
    data = _read(path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _NotWhole(f"{path.name} is no JSON ({error})") from None


def _need_object(name: str, value) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _NotWhole(f"{name} holds no object but {str(value)[:40]}")
    return value


def _read(path) -> bytes:
    with _reading(path):
        return path.read_bytes()


@contextlib.contextmanager
def _reading(path):
    """What is missing makes a checkpoint not whole; what cannot be read says nothing.

    A disk that fails, or a folder that is closed to us, must not have a checkpoint
    taken for damaged and removed.
    """
    check_file(path)
    try:
        yield
    except FileNotFoundError:
        raise _NotWhole(f"{path.name} is missing") from None
    except OSError as error:
        why = explain_system_fault(error) or f"{error}; remove its checkpoint"
        raise UserError(f"{path} cannot be read: {why}") from None
