"""Own items in the released layout, and back."""

import json

import pytest

from babyvlm_jax.data.schema import Record, RecordSource, write_dataset
from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv import imports
from data_prep.devcv.released import export
from tests.data_prep.devcv.released_fixture import memory_item, picture


def _items():
    turns, seeds, labels = memory_item(5)
    roles = {"human": "human", "gpt": "assistant"}
    talk = tuple((roles[turn["from"]], turn["value"]) for turn in turns)
    memory = Record(
        "memory_test_000000",
        "eval/memory",
        tuple(picture(seed, form="JPEG") for seed in seeds),
        talk,
        {
            "task": "memory",
            "answer": " ".join(t for r, t in talk if r != "human"),
            "labels": labels,
            "recordings": ["r"],
        },
    )
    counts = [
        Record(
            f"count_test_{k:06d}",
            "eval/count",
            (picture(k),),
            (("human", "<image> How many of cup do you see?"), ("assistant", str(k))),
            {"task": "count", "answer": str(k), "number": k, "noun": "cup"},
        )
        for k in (1, 2)
    ]
    return {"memory": [memory], "count": counts}


def test_there_and_back(tmp_path):
    items = _items()
    for task, records in items.items():
        write_dataset(tmp_path / "own", f"devcv_{task}", {"test": records}, "items")
    out = tmp_path / "released"
    assert export(tmp_path / "own", out, ("memory", "count", "lwl")) == 3
    released = json.loads((out / "count_test.json").read_text())
    assert [one["id"] for one in released] == ["count_test_000001", "count_test_000002"]
    assert released[1]["image"] == ["images/count_test_00001_0.png"]
    (one,) = json.loads((out / "memory_test.json").read_text())
    assert one["labels"] == items["memory"][0].meta["labels"]
    assert one["image"][28] == "images/memory_test_00000_28.jpeg"

    found, _ = imports.find_sets(out, "test", {})
    imports.import_sets(found, tmp_path / "back", "")
    for task, records in items.items():
        back = RecordSource(tmp_path / "back", f"devcv_{task}", "test")
        there = {record.id: record for record in back}
        for record in records:
            again = there[record.id]
            assert (again.images, again.turns) == (record.images, record.turns)
            assert again.meta.items() >= record.meta.items()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        export(tmp_path, tmp_path / "file", ())
