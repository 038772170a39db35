import dataclasses
import json
import os

import pytest

from babyvlm_jax.errors import UserError
from babyvlm_jax.evals import store
from babyvlm_jax.evals.tasks import TASKS

COUNT = TASKS["count"]


@pytest.fixture
def cfg(tmp_path):
    for name in ("run/checkpoints/5", "shards/devcv_count/1.0.0"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "run/checkpoints/5/params").write_text("weights")
    (tmp_path / "shards/devcv_count/1.0.0/data").write_text("items")
    (tmp_path / "words.model").write_text("pieces")
    return store.EvalConfig(
        checkpoint=str(tmp_path / "run"),
        shards=str(tmp_path / "shards"),
        tokenizer=str(tmp_path / "words.model"),
        tasks=("count",),
        split="test",
        mechanism="",
        normalize=False,
        blank_images=False,
        limit=0,
        batch_size=4,
        buckets=((64, 4),),
        seed=0,
        mesh={"data": 1, "fsdp": 1, "tensor": 1},
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"checkpoint": ""}, "config.checkpoint"),
        ({"shards": "/nowhere"}, "config.shards"),
        ({"tokenizer": "/nowhere"}, "config.tokenizer"),
        ({"mechanism": "guess"}, "config.mechanism"),
        ({"batch_size": 0}, "config.batch_size"),
        ({"limit": -1}, "config.limit"),
        ({"buckets": ()}, "config.buckets"),
        ({"buckets": ((64, 0),)}, "config.buckets"),
        ({"tasks": ("counting",)}, "counting"),
    ],
)
def test_impossible_settings_are_named(cfg, change, named):
    with pytest.raises(UserError, match=named):
        dataclasses.replace(cfg, **change)


def test_suffix_says_what_differs_from_the_official_run(cfg):
    assert cfg.suffix == ""
    other = dataclasses.replace(
        cfg, split="val", mechanism="choice", blank_images=True, limit=8
    )
    assert other.suffix == "-val-choice-blank-first8"


def test_fingerprint_ignores_the_batch_size(cfg):
    other = dataclasses.replace(cfg, batch_size=8, tasks=("all",))
    assert store.fingerprint(other, COUNT) == store.fingerprint(cfg, COUNT)


@pytest.mark.parametrize(
    "file",
    ["run/checkpoints/5/params", "shards/devcv_count/1.0.0/data", "words.model"],
)
def test_fingerprint_follows_the_files(cfg, tmp_path, file):
    before = store.fingerprint(cfg, COUNT)
    (tmp_path / file).write_text("changed")
    os.utime(tmp_path / file, (1, 1))
    assert store.fingerprint(cfg, COUNT) != before


def test_fingerprint_follows_the_settings(cfg):
    marks = {
        store.fingerprint(dataclasses.replace(cfg, **change), COUNT)
        for change in ({}, {"limit": 3}, {"seed": 1}, {"mechanism": "choice"})
    }
    assert len(marks) == 4


def test_parts_are_kept_for_their_fingerprint(tmp_path):
    folder = store.Folder(tmp_path, "5")
    assert folder.read_part("count", "mark") is None
    folder.write_part("count", "mark", {"seconds": 1})
    assert folder.read_part("count", "mark") == {"seconds": 1}
    assert folder.read_part("count", "other") is None
    assert folder.read_part("lwl", "mark") is None


def test_whole_evaluation_is_found_by_its_fingerprints(tmp_path):
    folder = store.Folder(tmp_path, "5")
    folder.write_part("count", "mark", {})
    part = {
        "entry": {"metrics": {"accuracy": {"value": 0.5}}},
        "predictions": [{"task": "count", "id": i} for i in ("b", "a")],
        "seconds": 1.23,
    }
    marks = {"count": "mark"}
    assert store.find_whole(tmp_path, marks) is None
    content = store.finish(folder, {"step": 5}, {"count": part}, marks)
    assert content["seconds"] == 1.2
    path = store.find_whole(tmp_path, marks)
    assert path == tmp_path / "eval/5/results.json"
    assert store.read_json(path) == content
    assert store.find_whole(tmp_path, {"count": "other"}) is None
    lines = (tmp_path / "eval/5/predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "b"]
    assert sorted(os.listdir(tmp_path / "eval/5")) == [
        "leaderboard.json",
        "predictions.jsonl",
        "results.json",
    ]


@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_results_are_named(tmp_path, text):
    path = tmp_path / "eval" / "5" / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UserError, match="damaged"):
        store.find_whole(tmp_path, {})


def test_synthetic_is_said_by_either_summary(tmp_path):
    assert not store.is_synthetic(tmp_path)
    (tmp_path / "build_summary.json").write_text('{"records": 3}')
    assert not store.is_synthetic(tmp_path)
    (tmp_path / "devcv_summary.json").write_text('{"synthetic": true}')
    assert store.is_synthetic(tmp_path)
