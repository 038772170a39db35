"""Streaming of JSON lists and lines."""

import json

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.importing import reading

VALUES = [
    {"id": 1, "text": 'a "quoted" ] , } \\ word', "deep": [[{"a": []}], {}]},
    "plain, with é and \u2603 and \U0001f600",
    {"numbers": [1, -2.5, 1e300, 12345678901234567890, True, None]},
    {},
    "",
    ["list", 123456.789e-5],
]


def _read(tmp_path, content):
    path = tmp_path / "f.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(reading.read_values(path))


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 2**20])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_list_is_read_whatever_the_size_of_a_block(
    tmp_path, monkeypatch, block, indent, ascii_only
):
    monkeypatch.setattr(reading, "BLOCK", block)
    content = json.dumps(VALUES, indent=indent, ensure_ascii=ascii_only)
    found = _read(tmp_path, f" \n{content}\n ")
    assert [value for _, value in found] == VALUES
    assert [json.loads(text) for text, _ in found] == VALUES


@pytest.mark.parametrize("block", [1, 5, 2**20])
def test_lines_are_read_and_a_broken_one_is_told(tmp_path, monkeypatch, block):
    monkeypatch.setattr(reading, "BLOCK", block)
    found = _read(tmp_path, '{"id": 1}\n\n{"id": \n  {"id": 3}  \n"last"')
    assert found == [
        ('{"id": 1}', {"id": 1}),
        ('{"id": ', None),
        ('{"id": 3}  ', {"id": 3}),
        ('"last"', "last"),
    ]


@pytest.mark.parametrize("content", ["[]", " [ ] ", "", "\n\n", "\ufeff[]"])
def test_an_empty_file_or_list_holds_nothing(tmp_path, content):
    assert _read(tmp_path, content) == []


def test_bytes_that_are_not_utf8_spoil_one_string_only(tmp_path):
    found = _read(tmp_path, b'["good", "b\xffd", "fine"]')
    assert [reading.is_utf8(value) for _, value in found] == [True, False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"id": 1}', "expected ',' or ']', found ''; line 1, after 1 whole"),
        ('[{"id": 1},\n{"id": 2', "line 2, after 1 whole records"),
        ('[{"id": 1} {"id": 2}]', "expected ',' or ']', found '{'"),
        ('[{"id": 1}] more', "expected the end of the file, found 'm'"),
        ('[{"id": 1},]', "Expecting value"),
        ("[{'id': 1}]", "Expecting property name"),
        ('["never closed', "Unterminated string"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_broken_list_is_refused_with_its_place(tmp_path, content, message):
    with pytest.raises(UserError, match=r"f\.json: not a JSON list") as error:
        _read(tmp_path, content)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_record_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST", 1000)
    monkeypatch.setattr(reading, "BLOCK", 100)
    for content in ('["' + "a" * 9000, '{"' + "a" * 9000):
        with pytest.raises(UserError, match="more than 1000 characters"):
            _read(tmp_path, content)


def test_progress_adds_up_to_the_file(tmp_path):
    path = tmp_path / "f.json"
    path.write_text(json.dumps(VALUES * 1000))
    sizes = []
    list(reading.read_values(path, sizes.append))
    assert sum(sizes) == path.stat().st_size


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.json: cannot be read \(No such file"):
        list(reading.read_values(tmp_path / "none.json"))


DEEP = "[" * 5_000 + "]" * 5_000


@pytest.mark.parametrize(
    "text",
    [DEEP, f'{{"a": {DEEP}, "b": "]}}\\"}}"}}', f'{{"a": {"9" * 5000}}}', "9" * 5000,
     "-" + "9" * 5000],
    ids=["deep", "deep, with a text", "digits", "digits alone", "negative"],
)  # fmt: skip
@pytest.mark.parametrize("block", [64, 2**20])
def test_a_value_beyond_the_decoder_costs_one_record(
    tmp_path, monkeypatch, text, block
):
    monkeypatch.setattr(reading, "BLOCK", block)
    path = tmp_path / "f.json"
    path.write_text(f'[{{"id": 1}}, {text},\n {{"id": 2}}]')
    found = list(reading.read_values(path))
    assert [value for _, value in found] == [{"id": 1}, None, {"id": 2}]
    assert found[1][0] == text
