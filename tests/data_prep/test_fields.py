import json
import math

import pytest

from babyvlm_jax.runtime import json_fields as fields
from babyvlm_jax.runtime.errors import UserError
from tests.data_prep import hostile

READERS = {
    "text": fields.text,
    "number": fields.number,
    "whole": fields.whole,
    "identifier": fields.identifier,
    "file_name": fields.file_name,
    "objects": fields.objects,
    "pair": lambda item, key: fields.numbers(item, key, 2),
    "flag": lambda item, key: fields.flag(item, key, False),
}
HUGE = 10**400


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        ("text", "a dog", "a dog"),
        ("text", "half \ud800", None),
        ("text", "a\0b", None),
        ("text", 3, None),
        ("number", 3, 3.0),
        ("number", "2.5", 2.5),
        ("number", HUGE, None),
        ("number", float("nan"), None),
        ("number", float("inf"), None),
        ("number", "many", None),
        ("number", True, None),
        ("number", [1], None),
        ("whole", 3.0, 3),
        ("whole", 3.5, None),
        ("whole", HUGE, None),
        ("identifier", 7, "7"),
        ("identifier", 7.0, "7"),
        ("identifier", "7", "7"),
        ("identifier", HUGE, None),
        ("identifier", "", None),
        ("identifier", ["a"], None),
        ("file_name", "identity", "identity"),
        ("file_name", "b" * 300, None),
        ("file_name", "ü" * 150, None),
        ("file_name", "../x", None),
        ("file_name", "..", None),
        ("file_name", "b\ud800", None),
        ("file_name", "a\nb", None),
        ("objects", [1], [1]),
        ("objects", {}, None),
        ("pair", [1, 2], (1.0, 2.0)),
        ("pair", [1, HUGE], None),
        ("pair", [1], None),
        ("flag", 1, True),
        ("flag", None, False),
        ("flag", "false", None),
    ],
)
def test_a_field_is_read_or_named(reader, value, expected):
    item = fields.parse_json(json.dumps({"key": value}))
    if expected is not None:
        assert READERS[reader](item, "key") == expected
        return
    with pytest.raises(fields.BadField, match="key") as caught:
        READERS[reader](item, "key")
    str(caught.value).encode()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", sorted(set(READERS) - {"flag"}))
@pytest.mark.parametrize("item", [{}, {"key": None}, [], "key", 3, None])
def test_what_is_absent_is_named(reader, item):
    with pytest.raises(fields.BadField, match="key"):
        READERS[reader](item, "key")


def test_a_default_stands_for_what_is_absent():
    assert fields.number({}, "key", 0.5) == 0.5
    assert fields.text({"key": None}, "key", None) is None


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"\xff\xfe",
        b"{",
        b"",
    ],
)
def test_a_file_that_is_not_json_is_one_line(tmp_path, data):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"x\.json: not a JSON file") as caught:
        fields.read_json(path)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_and_long_numbers_are_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf[1, " + b"9" * 5000 + b"]")
    assert fields.read_json(path) == [1, math.inf]


@pytest.mark.parametrize("reader", sorted(READERS))
def test_nothing_but_a_bad_field_is_raised(reader):
    for value in hostile.VALUES:
        item = fields.parse_json(json.dumps({"key": value}))
        try:
            found = READERS[reader](item, "key")
        except fields.BadField as error:
            str(error).encode()
        else:
            json.dumps(found, allow_nan=False, ensure_ascii=False).encode()


def test_a_key_that_stands_twice_is_not_taken(tmp_path):
    (tmp_path / "a.json").write_text('[{"key": 1, "key": 2}, {"key": 3}]')
    twice, once = fields.read_json(tmp_path / "a.json")
    assert fields.number(once, "key") == 3
    with pytest.raises(fields.BadField, match="has a key twice"):
        fields.number(twice, "key")
