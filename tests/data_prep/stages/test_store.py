import pytest

from babyvlm_jax.data.schema import Record, write_dataset
from babyvlm_jax.errors import UserError
from data_prep.stages.recording import Report
from data_prep.stages.store import SUMMARY, Store, write_json

IDENTITY = {"corpus": "abc", "pad_s": 1.0}
TEXT = Record(id="a_1", source="text", turns=(("assistant", "ball"),))


def test_recordings_come_back(tmp_path):
    store = Store(tmp_path / "out")
    assert store.open(IDENTITY) is False
    assert store.report("a") is None
    report = Report("a", "train", records={"text": 1}, problems=["x"])
    store.save({"text": [TEXT]}, report)
    again = Store(tmp_path / "out")
    assert again.open(IDENTITY) is False
    assert again.report("a") == report
    assert list(again.records(["a"], "text")) == [TEXT]


def test_finished_build_is_known_and_cleaned(tmp_path):
    store = Store(tmp_path)
    store.open(IDENTITY)
    write_json(tmp_path / SUMMARY, {"identity": IDENTITY})
    left = tmp_path / "text" / "1.0.0.incompleteXYZ"
    left.mkdir(parents=True)
    assert store.open(IDENTITY) is True
    assert not left.exists()
    assert not store.folder.exists()


@pytest.mark.parametrize("finished", [False, True])
def test_another_build_is_refused(tmp_path, finished):
    store = Store(tmp_path)
    store.open(IDENTITY)
    if finished:
        write_json(tmp_path / SUMMARY, {"identity": IDENTITY})
    with pytest.raises(UserError, match=r"differs in pad_s \(pad_s: there 1.0, now 2"):
        store.open({**IDENTITY, "pad_s": 2.0})


def test_datasets_of_nobody_are_refused(tmp_path):
    write_dataset(tmp_path, "text", {"train": [TEXT]}, "by hand")
    with pytest.raises(UserError, match=r"unknown build \(text\)"):
        Store(tmp_path).open(IDENTITY)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--config\.out=.*file.*cannot be written"):
        Store(tmp_path / "file" / "out").open(IDENTITY)
