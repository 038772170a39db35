"""What the first edition wrote is brought over in place, and once."""

import pytest

from babyvlm_jax.data.schema import (
    INFO,
    Record,
    RecordSource,
    dataset_dir,
    write_dataset,
)
from babyvlm_jax.errors import UserError
from babyvlm_jax.interchange import upgrading
from babyvlm_jax.interchange.upgrading import upgrade


def test_shards_get_their_hashes(tmp_path):
    records = {"train": [Record("a", "text")], "val": [Record("b", "text")]}
    folder = write_dataset(tmp_path / "run" / "shards", "demo", records, "d")
    before = RecordSource(tmp_path / "run" / "shards", "demo", "train").fingerprint
    stored = sorted(folder.glob("*.hashes*"))
    for path in stored:
        path.unlink()
    for done in ("hashed", "up to date"):
        lines = list(upgrade(str(tmp_path)))
        assert [line.rpartition(", ")[2] for line in lines] == [done, done]
        assert sorted(folder.glob("*.hashes*")) == stored
    source = RecordSource(tmp_path / "run" / "shards", "demo", "train")
    assert source.fingerprint == before


def item(place, **meta):
    turns = (("human", "<image> How many of cup do you see?"), ("assistant", "3"))
    return Record(f"c{place}", "eval/count", (b"image",), turns, meta)


def test_benchmark_items_get_their_questions(tmp_path, monkeypatch):
    odd = Record("odd", "eval/count", (), (("human", "?"), ("assistant", "so")))
    records = {"train": [item(0)], "test": [item(1, number=3), item(2), odd]}
    write_dataset(tmp_path, "devcv_count", records, "d")
    train = RecordSource(tmp_path, "devcv_count", "train").fingerprint
    described = (dataset_dir(tmp_path, "devcv_count") / INFO).read_bytes()
    order = [one.id for one in RecordSource(tmp_path, "devcv_count", "test")]

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # after the work, before it is published
        patch.setattr(upgrading, "_replace_shards", killed)
        with pytest.raises(KeyboardInterrupt):
            list(upgrade(str(tmp_path)))
    for told in ("3 items, know their questions", "3 items, 1 not understood"):
        lines = list(upgrade(str(tmp_path)))
        assert lines[0] == f"{tmp_path / 'devcv_count'}, test: {told}"
    source = RecordSource(tmp_path, "devcv_count", "test")
    assert [one.id for one in source] == order and not source.faults()
    found = {one.id: one.meta for one in source}
    (entry,) = found["c1"]["rounds"]
    assert (entry["kind"], entry["answer"], found["c1"]["number"]) == ("number", "3", 3)
    assert found["odd"] == {}
    assert RecordSource(tmp_path, "devcv_count", "train").fingerprint == train
    assert (dataset_dir(tmp_path, "devcv_count") / INFO).read_bytes() == described
    assert not list(tmp_path.glob(".upgrade"))


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_of_nothing_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name):
        list(upgrade(str(tmp_path / name)))
