"""How files are cut into batches."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_prep.importing.batches import Input, batches
from data_prep.importing.llava import Llava
from data_prep.importing.refusal import Refusal

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
