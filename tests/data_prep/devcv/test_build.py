"""The datasets on disk: splits, leakage, resuming, settings."""

import dataclasses
import json
import shutil

import pytest

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv import build, source, tasks
from data_prep.devcv.items import Style
from tests.data_prep.devcv.coco_fixture import SEED, write_world

FEW = {"train": 6, "val": 4, "test": 8}
TRAINED = [name for name, task in tasks.TASKS.items() if not task.facts.held_out]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def plan():
    style = Style(prompts="ego4d", image_side=32)
    return build.Plan("the little world", True, SEED, style, tasks.numbers("demo", FEW))


def _build(out, plan, world, tasks=tuple(tasks.TASKS), num_workers=1):
    path, folder = world

    def load():
        return source.load_coco(str(path), str(folder), 10000, SEED)

    files = source.files_of(str(path), str(folder), source.BoxRules())
    return build.build(out, plan, tasks, path.name, files, load, num_workers)


@pytest.fixture(scope="module")
def shards(tmp_path_factory, plan, world):
    out = tmp_path_factory.mktemp("shards")
    _build(out, plan, world)
    return out


def _records(shards, task, split):
    return list(RecordSource(shards, f"devcv_{task}", split))


def _files(shards, tasks):
    """Every file of some tasks, byte for byte."""
    return {
        path.relative_to(shards): path.read_bytes()
        for task in tasks
        for path in (shards / f"devcv_{task}").rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("task", tasks.TASKS)
def test_splits_sources_and_meta(shards, plan, task):
    for split in ("train", "val", "test"):
        if not plan.wanted[task][split]:
            with pytest.raises(UserError, match="has no split"):
                _records(shards, task, split)
            continue
        records = _records(shards, task, split)
        assert len(records) == plan.wanted[task][split]
        kind = "instruction" if split == "train" else "eval"
        for record in records:
            assert record.source == f"{kind}/{task}"
            assert record.meta["task"] == task and record.meta["answer"]
            answers = [text for role, text in record.turns if role == "assistant"]
            assert record.meta["answer"] == " ".join(answers)


def test_no_recording_and_no_instance_is_in_two_splits(shards):
    seen = {}
    for split in ("train", "val", "test"):
        chosen = [
            name
            for name in TRAINED
            if split == "train" or not tasks.TASKS[name].easier_form_of
        ]
        records = [r for task in chosen for r in _records(shards, task, split)]
        for kind in ("recordings", "instances"):
            seen[kind, split] = {name for r in records for name in r.meta[kind]}
            assert seen[kind, split]
    for kind in ("recordings", "instances"):
        train, val, test = (seen[kind, s] for s in ("train", "val", "test"))
        assert not train & val and not train & test and not val & test


def test_summary_and_card(shards, plan):
    summary = json.loads((shards / build.SUMMARY).read_text())
    assert summary["settings"] == plan.settings()
    assert set(summary["identity"]["inputs"]) == {"coco.json", "frames"}
    assert summary["tasks"]["memory"] == {"train": 2, "val": 1, "test": 2}
    assert summary["num_skipped"] == 0
    card = (shards / build.CARD).read_text()
    assert (
        "synthetic" in card
        and "| Delayed Memory (`devcv_memory`) | 2 | 1 | 2 |" in card
        and "in Left/Right the right option is the query; in Delayed Memory" in card
    )
    assert not (shards / ".jobs" / "devcv").exists()


@pytest.mark.integration
def test_train_alone_is_mirrored(shards, plan, world, tmp_path):
    style = dataclasses.replace(plan.style, mirror=True)
    tasks = ("vdr_binary", "vdr_open")
    mirrored = dataclasses.replace(plan, style=style)
    summary = _build(tmp_path / "shards", mirrored, world, tasks)
    for task in tasks:
        ours, theirs = (
            {split: _records(folder, task, split) for split in FEW}
            for folder in (tmp_path / "shards", shards)
        )
        assert ours["test"] == theirs["test"] and ours["train"] != theirs["train"]
    assert summary["settings"]["style"]["mirror"]
    assert "mirror images" in (tmp_path / "shards" / build.CARD).read_text()


@pytest.mark.integration
@pytest.mark.usefixtures("processes")
def test_workers_and_chosen_tasks_change_nothing(shards, plan, world, tmp_path):
    tasks = ("count", "vdr_open")
    _build(tmp_path, plan, world, tasks, num_workers=2)
    assert _files(tmp_path, tasks) == _files(shards, tasks)


def test_a_stopped_build_goes_on(shards, plan, world, tmp_path, monkeypatch, capsys):
    out, tasks = tmp_path / "shards", ("count", "lwl")
    built, decoded = [], []
    records, decode = build.records, build.ingest.decode
    monkeypatch.setattr(
        build.ingest, "decode", lambda *a: decoded.append(1) or decode(*a)
    )

    def killed_in(task):
        def made(name, *rest):
            built.append(name)
            if name == task:
                raise KeyboardInterrupt
            return records(name, *rest)

        monkeypatch.setattr(build, "records", made)

    killed_in("lwl")
    with pytest.raises(KeyboardInterrupt):
        _build(out, plan, world, tasks)
    assert not (out / build.SUMMARY).exists()
    killed_in(None)
    built.clear()
    summary = _build(out, plan, world, tasks)
    assert set(built) == {"lwl"} and decoded == [1]
    assert summary["tasks"]["lwl"] == {"train": 0, "val": 4, "test": 8}
    assert _files(out, tasks) == _files(shards, tasks)
    summary = _build(out, plan, world, ("localize",))  # a set grows
    assert set(summary["tasks"]) == {"count", "lwl", "localize"}
    assert _files(out, ("count",)) == _files(shards, ("count",))
    _build(out, plan, world, tasks)
    assert "nothing to do" in capsys.readouterr().out


def test_a_first_edition_set_is_left_alone(shards, plan, world, tmp_path, capsys):
    out = shutil.copytree(shards, tmp_path / "out")
    summary = json.loads((out / build.SUMMARY).read_text())
    (out / build.SUMMARY).write_text(
        json.dumps({key: summary[key] for key in ("settings", "tasks", "num_skipped")})
    )
    _build(out, plan, world)
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.integration
def test_a_changed_picture_makes_it_again(plan, tmp_path, capsys):
    path, folder = write_world(tmp_path, splits=("test",))
    out, tasks = tmp_path / "out", ("count",)
    _build(out, plan, (path, folder), tasks)
    picture = sorted(folder.iterdir())[0]
    picture.write_bytes(sorted(folder.iterdir())[1].read_bytes())
    _build(out, plan, (path, folder), tasks)
    assert "changed: inputs/frames" in capsys.readouterr().out
    other = dataclasses.replace(plan, seed=1)
    with pytest.raises(UserError, match=r"holds count of other settings .*seed"):
        _build(out, other, (path, folder), ("lwl",))


def test_what_others_made_is_refused(shards, plan, world, tmp_path):
    with pytest.raises(UserError, match=r"items from coco\.json, which differs"):
        build.build(shards, plan, ("count",), "other.json", {}, None, 1)
    (tmp_path / "devcv_count" / "1.0.0").mkdir(parents=True)
    with pytest.raises(UserError, match="devcv_count of an unknown job"):
        _build(tmp_path, plan, world)


def test_tasks_that_the_frames_do_not_allow_are_told(plan, tmp_path):
    path, folder = write_world(tmp_path, splits=("test",))
    content = json.loads(path.read_text())
    cups = [c["id"] for c in content["categories"] if c["name"] == "cup"]
    content["annotations"] = [
        a for a in content["annotations"] if a["category_id"] in cups
    ]
    path.write_text(json.dumps(content))
    tasks = ("count", "picture_vocabulary")
    summary = _build(tmp_path / "out", plan, (path, folder), tasks)
    assert summary["tasks"]["count"] == {"train": 0, "val": 0, "test": 8}
    assert not any(summary["tasks"]["picture_vocabulary"].values())
    with pytest.raises(UserError, match=r"single item.*\(0 boxes, frames or"):
        _build(tmp_path / "none", plan, (path, folder), ("picture_vocabulary",))
    assert not (tmp_path / "none" / build.SUMMARY).exists()
