"""Reads JSON files and the fields of their objects, and names what is wrong.

Every reader of a user's JSON goes through here, so that no number, text or nesting
that Python's own reader accepts can raise anything but a `UserError` later. A field is
read by its type (`text`, `number`, `whole`, `identifier`, `flag`, ...) from an object
and a key, with a default where it may be absent or null.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyvlm_jax.runtime.errors import UserError, read_bytes

MAX_DEPTH = 64  # ours: lists in objects in lists; far more than any format needs
LARGEST = 2.0**53  # whole numbers up to here are exact as floats
MAX_CHARACTERS = 100_000  # ours: of one text
MAX_NAME_BYTES = 200  # ours: a file name may have 255, and ours get endings
_DIGITS = 19  # longer whole numbers are read as floats, which may be infinite
_REQUIRED: Any = object()
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNUSABLE_IN_NAMES = re.compile(r"[/\x00-\x1f\x7f]")


class BadField(UserError):
    """A field that cannot be used; the reader adds the file and the record."""


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: the file is missing, not UTF-8, not JSON, or nested too deeply.
    """
    data = read_bytes(Path(path))
    try:
        return parse_json(data)
    except BadField as error:
        raise UserError(f"{path}: not a JSON file ({error})") from None


def parse_json(data: bytes | str) -> Any:
    """Parses JSON; a byte order mark is ignored, a number of any length is read.

    Raises:
        BadField: not UTF-8, not JSON, or nested more than `MAX_DEPTH` deep.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(
            text.removeprefix("\ufeff"), parse_int=_int, object_pairs_hook=_object
        )
    except RecursionError:
        raise BadField(f"nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        raise BadField(f"{error}") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = (
            [
                child
                for one in level
                for child in (one.values() if isinstance(one, dict) else one)
                if isinstance(child, dict | list)
            ]
            if isinstance(value, dict | list)
            else []
        )
        if not level:
            return value
    raise BadField(f"nested more than {MAX_DEPTH} deep")


class _Ambiguous(dict):
    """An object in which a key stands twice; no field of it is taken."""


def _object(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Ambiguous(found)


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _get(item: Any, key: str, default: Any) -> Any:
    if not isinstance(item, Mapping):
        raise BadField(f"expected an object with {key!r}, not {shown(item)}")
    if isinstance(item, _Ambiguous):
        raise BadField(f"an object with {shown(sorted(item))} has a key twice")
    value = item.get(key)
    if value is None and default is _REQUIRED:
        raise BadField(f"{key} is missing")
    return value


def shown(value: Any) -> str:
    """A value for a message: short, in ASCII."""
    try:
        return f"{value!a:.80}"
    except (RecursionError, ValueError):
        return f"a {type(value).__name__}"


def text(
    item: Any, key: str, default: Any = _REQUIRED, most: int = MAX_CHARACTERS
) -> Any:
    """A text that can be written as UTF-8; the default where there is none."""
    value = _get(item, key, default)
    if value is None:
        return default
    if not isinstance(value, str):
        raise BadField(f"{key} is {shown(value)}: expected text")
    return check_text(value, key, most)


def check_text(value: str, what: str, most: int = MAX_CHARACTERS) -> str:
    """Raises BadField unless a text can be stored."""
    if _SURROGATE.search(value):
        raise BadField(f"{what} is {shown(value)}: half of a character (a surrogate)")
    if "\0" in value:
        raise BadField(f"{what} is {shown(value)}: it holds a NUL character")
    if len(value) > most:
        raise BadField(
            f"{what} has {len(value):,} characters: expected at most {most:,}"
        )
    return value


def number(
    item: Any,
    key: str,
    default: Any = _REQUIRED,
    least: float = -LARGEST,
    most: float = LARGEST,
) -> Any:
    """A finite number in a range; digits in quotes count as the number."""
    value = _get(item, key, default)
    return default if value is None else _check_number(value, key, least, most)


def _check_number(value: Any, key: str, least: float, most: float) -> float:
    found = value
    if isinstance(found, str):
        try:
            found = float(found)
        except ValueError:
            found = None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise BadField(f"{key} is {shown(value)}: expected a number")
    if not least <= found <= most:  # NaN fails too
        limits = "that is finite and not huge"
        if (least, most) != (-LARGEST, LARGEST):
            limits = f"from {least:g} to {most:g}"
        raise BadField(f"{key} is {shown(value)}: expected a number {limits}")
    return float(found)


def whole(
    item: Any,
    key: str,
    default: Any = _REQUIRED,
    least: float = -LARGEST,
    most: float = LARGEST,
) -> Any:
    """A whole number in a range; 3.0 is 3, 3.5 is refused."""
    value = _get(item, key, default)
    if value is None:
        return default
    found = _check_number(value, key, least, most)
    if found != math.floor(found):
        raise BadField(f"{key} is {shown(value)}: expected a whole number")
    return int(found)


def numbers(item: Any, key: str, count: int) -> tuple[float, ...]:
    """A list of so many finite numbers."""
    values = _get(item, key, _REQUIRED)
    if not isinstance(values, list) or len(values) != count:
        raise BadField(f"{key} is {shown(values)}: expected {count} numbers")
    return tuple(_check_number(v, key, -LARGEST, LARGEST) for v in values)


def flag(item: Any, key: str, default: bool) -> bool:
    """true or false; COCO's 0 and 1 count too."""
    value = _get(item, key, default)
    if value is None:
        return default
    if not isinstance(value, bool) and value not in (0, 1):
        raise BadField(f"{key} is {shown(value)}: expected true or false")
    return bool(value)


def identifier(item: Any, key: str, default: Any = _REQUIRED) -> Any:
    """A name or a number that stands for something, as text: 7, 7.0, "7" -> "7"."""
    value = _get(item, key, default)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise BadField(f"{key} is {shown(value)}: expected a name or a whole number")
    return check_text(value, key, MAX_NAME_BYTES)


def file_name(item: Any, key: str) -> str:
    """An identifier that can name a file."""
    value = identifier(item, key)
    if _UNUSABLE_IN_NAMES.search(value) or value in (".", ".."):
        raise BadField(
            f"{key} {shown(value)} is no name for a file: it must not hold a '/' or a "
            "control character"
        )
    if len(value.encode()) > MAX_NAME_BYTES:
        raise BadField(f"{key} {shown(value)} is longer than {MAX_NAME_BYTES} bytes")
    return value


def objects(item: Any, key: str, default: Any = _REQUIRED) -> list[Any]:
    """A list; what is in it is checked where it is read."""
    value = _get(item, key, default)
    if value is None:
        return default
    if not isinstance(value, list):
        raise BadField(f"{key} is {shown(value)}: expected a list")
    return value
