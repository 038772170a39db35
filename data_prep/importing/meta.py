"""Fields of a raw record that become its meta: values that JSON has, or none."""

import datetime
import decimal
import math
import uuid
from collections.abc import Mapping
from typing import Any

from data_prep.importing.reading import is_utf8
from data_prep.importing.refusal import Refusal

DEEPEST = 50  # levels of lists and objects
# Parquet has these, JSON has not; their text says all that they say.
_AS_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)


class _NoJson(Exception):
    """A value that has no place in JSON: bytes, an infinite number."""


def plain_fields(
    fields: Mapping[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Fields as JSON has them.

    {"age": 3.0, "day": date(2013, 9, 1), "gap": nan, "mask": b"..."} gives

        {"age": 3.0, "day": "2013-09-01", "gap": None}, ["mask"]

    Returns:
        The fields, and the names of those that no JSON can hold, wholly or in part.

    Raises:
        Refusal: bad_json, too deep; non_utf8.
    """
    kept, unused = {}, []
    for name, value in fields.items():
        try:
            kept[_text(name)] = _plain(value, DEEPEST - 1)
        except _NoJson:
            unused.append(name)
    return kept, unused


def _plain(value: Any, levels: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        if math.isinf(value):
            raise _NoJson
        return None if math.isnan(value) else value  # pandas' way to say null
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, Mapping | list | tuple):
        if not levels:
            raise Refusal("bad_json", f"more than {DEEPEST} levels deep")
        if isinstance(value, Mapping):
            return {_text(k): _plain(v, levels - 1) for k, v in value.items()}
        return [_plain(one, levels - 1) for one in value]
    raise _NoJson


def _text(value: Any) -> str:
    text = str(value)
    if not is_utf8(text):
        raise Refusal("non_utf8", text)
    return text
