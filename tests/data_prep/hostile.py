"""Every small fault that a JSON file of a user can have, one at a time."""

import copy
import json
from collections.abc import Iterator
from typing import Any

VALUES = (
    *(None, True, False, 0, -1, 1.5, -0.0, 2**63, 10**25, 10**400, -(10**400)),
    *(1e300, 1e308, float("inf"), float("-inf"), float("nan")),
    *(
        "",
        " ",
        "1",
        "nan",
        "x" * 300,
        "é" * 150,
        "a\0b",
        "\ud800",
        "a\nb",
        "../x",
        "/x",
    ),
    *("<image>", "..", [], {}, [None], {"a": 1}, [1, 2, 3, 4], ["a"] * 4),
)
DEEP = b"[" * 100_000 + b"]" * 100_000
FILES = (b"", b"{", b"[]", b"{}", b"3", b"null", b'"a"', b"\xff\xfe\x00", DEEP)


def mutations(sound: Any) -> Iterator[bytes]:
    """A JSON document with one value replaced or removed; also what is none at all."""
    yield from FILES
    for path in _paths(sound):
        for value in VALUES:
            yield _changed(sound, path, lambda where, key, v=value: _put(where, key, v))
        yield _changed(sound, path, _remove)
        yield _changed(sound, path, _twice)


def _paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Ways to all values, of each list only its first."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value[:1]):
            yield from _paths(inner, (*path, number))


def _changed(sound, path, change) -> bytes:
    found = copy.deepcopy(sound)
    where = found
    for key in path[:-1]:
        where = where[key]
    change(where, path[-1])
    return json.dumps(found).encode()


def _put(where, key, value) -> None:
    where[key] = value


def _remove(where, key) -> None:
    del where[key]


def _twice(where, key) -> None:
    if isinstance(where, list):
        where.append(where[key])
