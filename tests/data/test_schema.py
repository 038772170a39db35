"""Records survive the disk; damaged or missing datasets are named at once."""

import os

import pytest

from babyvlm_jax.data.schema import (
    Record,
    RecordSource,
    dataset_dir,
    serialize,
    write_dataset,
)
from babyvlm_jax.runtime.errors import UserError

RECORD = Record(
    id="S_01/ä",
    source="instruction/memory",
    images=(b"\x00\xffone", b"", b"three"),
    turns=(("human", "a <image> b <image>"), ("assistant", "A"), ("human", "<image>")),
    meta={"labels": [["ball", "cup"]], "age_days": 212},
)


def plain(i):
    return Record(f"r{i}", "text", turns=(("assistant", f"utterance {i}"),))


def test_record_round_trip(tmp_path):
    bare = Record(id="bare", source="frames")
    write_dataset(tmp_path, "demo", {"train": [RECORD], "test": [bare, RECORD]}, "d")
    assert list(RecordSource(tmp_path, "demo", "train")) == [RECORD]
    back = RecordSource(tmp_path, "demo", "test")
    assert sorted(record.id for record in back) == ["S_01/ä", "bare"]
    assert bare in list(back)


def test_write_leaves_only_the_dataset(tmp_path):
    killed = tmp_path / "demo" / "incomplete.ABC123_1.0.0"
    killed.mkdir(parents=True)
    write_dataset(tmp_path, "demo", {"train": [plain(0)], "val": []}, "d")
    assert os.listdir(tmp_path) == ["demo"]
    assert os.listdir(tmp_path / "demo") == ["1.0.0"]
    with pytest.raises(UserError, match="no split 'val'"):
        RecordSource(tmp_path, "demo", "val")


def test_write_leaves_an_existing_dataset_alone(tmp_path):
    write_dataset(tmp_path, "demo", {"train": [plain(0)]}, "d")
    write_dataset(tmp_path, "demo", {"train": [plain(1)]}, "d")
    assert list(RecordSource(tmp_path, "demo", "train")) == [plain(0)]


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="share the id 'r0'"):
        write_dataset(tmp_path, "demo", {"train": [plain(0), plain(0)]}, "d")
    assert not dataset_dir(tmp_path, "demo").exists()
    with pytest.raises(UserError, match="no record"):
        write_dataset(tmp_path, "demo", {"train": []}, "d")


def test_bad_records():
    with pytest.raises(UserError, match="role 'gpt'"):
        Record("x", "text", turns=(("gpt", "hello"),))
    with pytest.raises(UserError, match="2 <image> marks in the turns but 1 images"):
        Record("x", "text", (b"1",), (("human", "<image><image>"),))


def test_missing_dataset(tmp_path):
    with pytest.raises(UserError, match="no dataset 'nothing'"):
        RecordSource(tmp_path, "nothing", "train")


def test_index_out_of_range(world):
    source = RecordSource(world.shards, "text", "train")
    with pytest.raises(IndexError):
        source[40]


def test_the_same_records_give_the_same_files(tmp_path):
    records = [RECORD, *map(plain, range(5))]
    folders = [
        write_dataset(tmp_path / folder, "demo", {"train": records}, "d")
        for folder in "ab"
    ]
    first, second = (
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in folders
    )
    assert first == second and len(first) == 4
    # TFDS's own order of fields is the same within a process, another in the next one
    source = RecordSource(tmp_path / "a", "demo", "train")
    stored = source._files.read(list(range(len(source))))
    assert stored == [serialize(record) for record in source]
