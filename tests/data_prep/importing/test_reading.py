"""Streaming of JSON lists and lines."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.importing import reading
from data_prep.importing.reading import Input, Refusal, batches
from data_prep.importing.records import Llava

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


LLAVA = Llava(None, 256, None, "x")


def _cut(inputs, size, converter=LLAVA):
    return list(batches(inputs, converter, batch_size=size))


def _json(path, ids):
    path.write_text(json.dumps([{"id": i} for i in ids]))
    return Input(path, "json")


def _parquet(path, ids, rows, column="id"):
    pq.write_table(pa.table({column: ids}), path, row_group_size=rows)
    return Input(path, "parquet")


def test_a_list_is_cut_into_equal_parts(tmp_path):
    found = _cut([_json(tmp_path / "a.json", range(5))], 2)
    assert [(b.first, b.size) for b in found] == [(0, 2), (2, 2), (4, 1)]
    assert list(found[1].raws()) == [(2, {"id": 2}), (3, {"id": 3})]


def test_a_batch_never_spans_two_files(tmp_path):
    inputs = [_json(tmp_path / f"{name}.json", [name]) for name in "ab"]
    assert [(b.input, b.size) for b in _cut(inputs, 9)] == [(i, 1) for i in inputs]


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        (2, 4, [(0, 4), (4, 3)]),
        (3, 4, [(0, 3), (3, 4)]),
        (7, 4, [(0, 7)]),
    ],
)
def test_parquet_is_cut_at_row_groups(tmp_path, rows, size, expected):
    found = _cut([_parquet(tmp_path / "a.parquet", list(range(7)), rows)], size)
    assert [(b.first, b.size) for b in found] == expected
    rows = [pair for batch in found for pair in batch.raws()]
    assert rows == [(i, {"id": i}) for i in range(7)]


def test_parquet_without_ids_counts_its_rows(tmp_path):
    found = _cut([_parquet(tmp_path / "a.parquet", [5, 6, 7], 1, "x")], 2)
    assert [dict(b.repeated) for b in found] == [{}, {}]


def test_an_id_that_comes_again_is_found_across_batches_and_files(tmp_path):
    inputs = [
        _json(tmp_path / "a.json", [1, 2, 1]),
        _parquet(tmp_path / "b.parquet", ["3", "2"], 9),
    ]
    assert [dict(b.repeated) for b in _cut(inputs, 2)] == [{}, {2: None}, {1: None}]
    renaming = Llava(None, 256, None, "x", rename_repeated=True)
    renamed = [dict(b.repeated) for b in _cut(inputs, 2, renaming)]
    assert renamed == [{}, {2: "1#2"}, {1: "2#2"}]


def test_a_prefix_tells_files_apart(tmp_path):
    first = _json(tmp_path / "a.json", [1])
    second = Input(first.path, "json", "b/")
    assert [dict(b.repeated) for b in _cut([first, second], 9)] == [{}, {}]


def test_progress_of_parquet_adds_up(tmp_path):
    one = _parquet(tmp_path / "a.parquet", list(range(100)), 10)
    sizes = []
    list(batches([one], LLAVA, sizes.append, batch_size=30))
    # rounded down once for each of four batches
    assert one.path.stat().st_size - 4 <= sum(sizes) <= one.path.stat().st_size


def test_a_broken_line_is_a_refusal(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n{"id\n')
    ((first, good), (second, bad)) = _cut([Input(path, "json")], 9)[0].raws()
    assert (first, good, second) == (0, {"id": 1}, 1)
    assert isinstance(bad, Refusal) and bad.reason == "bad_json"
