import dataclasses
import json
import os
import shutil

import pytest

from babyvlm_jax.data.schema import ASSISTANT, Record, write_dataset
from babyvlm_jax.evals import results, run
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.items import ItemSet
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from configs.eval import devcv
from tests.evals.contents import entry, evaluation


def write_items(folder, text, split="test"):
    """Two splits of the counting task, one with an item of this text."""
    shutil.rmtree(folder / "shards", ignore_errors=True)
    splits = {name: [Record("a", "text", (), ())] for name in ("test", "val", "train")}
    splits[split] = [Record("a", "text", (), ((ASSISTANT, text),))]
    write_dataset(folder / "shards", "devcv_count", splits, "d")


@pytest.fixture
def cfg(tmp_path):
    (tmp_path / "run/checkpoints/5").mkdir(parents=True)
    write_items(tmp_path, "item")
    (tmp_path / "run/checkpoints/5/files.json").write_text('{"sizes": {"a": 1}}')
    (tmp_path / "run/config.json").write_text('{"data": {"shards": "a", "n": 1}}')
    (tmp_path / "words.model").write_text("pieces")
    values = devcv.get_config().to_dict()
    values["checkpoint"] = str(tmp_path / "run")
    values["shards"] = str(tmp_path / "shards")
    values["tokenizer"] = str(tmp_path / "words.model")
    return EvalConfig(**values)


def mark(cfg, **changes):
    cfg = dataclasses.replace(cfg, **changes)
    item_set = ItemSet("", cfg.shards, TASKS["count"], cfg.split)
    return run.fingerprint(cfg, cfg.checkpoint, item_set)


def test_fingerprint_ignores_what_changes_no_result(cfg):
    changes = {"batch_size": 8, "tasks": ("all",), "shard_items": 3, "buckets": (16,)}
    assert mark(cfg, **changes) == mark(cfg)


@pytest.mark.parametrize(
    ("file", "content", "is_same"),
    [
        ("run/checkpoints/5/files.json", '{"sizes": {"b": 1}}', False),
        ("run/checkpoints/5/files.json", "{", False),
        ("run/checkpoints/5/files.json", '{"sizes": {"a": 1}, "more": 0}', True),
        ("run/checkpoints/6/files.json", '{"sizes": {"a": 1}}', False),
        ("run/config.json", '{"data": {"shards": "a", "n": 2}}', False),
        ("run/config.json", '{"data": {"shards": "b", "n": 1}}', True),
        ("words.model", "changed", False),
    ],
)
def test_fingerprint_follows_the_files(cfg, tmp_path, file, content, is_same):
    before = mark(cfg)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    os.utime(tmp_path / file, (1, 1))
    assert (mark(cfg) == before) is is_same


def test_a_model_that_was_moved_is_the_same(cfg, tmp_path):
    before = mark(cfg)
    shutil.copytree(tmp_path / "run", tmp_path / "moved")
    assert mark(cfg, checkpoint=str(tmp_path / "moved") + "/") == before
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "weights").write_text("1")
    answers = mark(cfg, checkpoint=str(tmp_path / "theirs"))
    (tmp_path / "theirs").rename(tmp_path / "elsewhere")
    assert mark(cfg, checkpoint=str(tmp_path / "elsewhere")) == answers != before


def test_fingerprint_follows_the_items(cfg, tmp_path):
    before = mark(cfg)
    shutil.copytree(tmp_path / "shards", tmp_path / "copy")
    assert mark(cfg, shards=str(tmp_path / "copy")) == before
    write_items(tmp_path, "item", "train")
    trained_on_others = mark(cfg)
    write_items(tmp_path, "other item")
    assert len({mark(cfg), trained_on_others, before}) == 3
    write_items(tmp_path, "item")
    assert mark(cfg) == before


def test_fingerprint_follows_the_settings(cfg):
    changes = ({}, {"limit": 3}, {"seed": 1}, {"protocols": ("choice",)})
    changes += ({"controls": ("no_text",)}, {"permute": True}, {"split": "val"})
    assert len({mark(cfg, **change) for change in changes}) == 7


def test_fingerprint_of_a_file(cfg, tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text("{}")
    item_set = ItemSet("", cfg.shards, TASKS["count"], "test")
    before = run.fingerprint(cfg, str(file), item_set)
    file.write_text("{} ")
    assert run.fingerprint(cfg, str(file), item_set) != before


def test_lines_are_kept_for_their_fingerprint(tmp_path):
    folder = run.Folder(tmp_path, "5")
    assert folder.read_lines("ego4d/count", "mark") == []
    folder.keep_lines("ego4d/count", "mark", [{"id": "a"}])
    folder.keep_lines("ego4d/count", "mark", [{"id": "b"}, {"id": "c"}])
    kept = folder.read_lines("ego4d/count", "mark")
    assert [line["id"] for line in kept] == ["a", "b", "c"]
    assert folder.read_lines("ego4d/count", "other") == []
    assert folder.read_lines("count", "mark") == []


def line(name, **changes):
    keys = {"source": "", "task": "count", "control": "", "protocol": "generate"}
    return {**keys, "id": name, **changes}


def test_whole_evaluation_is_found_by_its_fingerprints(tmp_path):
    folder = run.Folder(tmp_path, "5")
    folder.keep_lines("count", "mark", [])
    marks = {"count": "mark"}
    assert run.find_whole(tmp_path, marks) is None
    lines = [line("b"), line("a"), line("a", protocol="choice")]
    given = evaluation({"count": entry("Count", 0.5, 0.4, 0.6, 0.1)})
    header = {name: getattr(given, name) for name in results.HEADER}
    result = run.finish(folder, header, given.tasks, lines, ["odd"], marks)
    assert result.problems == ["odd"]
    assert result.overall[""]["ours"]["score"] == 0.5
    path = run.find_whole(tmp_path, marks)
    assert path == tmp_path / "eval/5/results.json"
    assert results.read_evaluation(path.parent) == result
    assert run.find_whole(tmp_path, {"count": "other"}) is None
    found = (tmp_path / "eval/5/predictions.jsonl").read_text().splitlines()
    found = [json.loads(text) for text in found]
    assert [(one["protocol"], one["id"]) for one in found] == [
        ("choice", "a"),
        ("generate", "a"),
        ("generate", "b"),
    ]
    assert sorted(os.listdir(tmp_path / "eval/5")) == [
        "leaderboard.json",
        "predictions.jsonl",
        "results.json",
        "table.md",
        "table.tex",
    ]


def test_each_source_has_its_own_leaderboard_and_mean(tmp_path):
    entries = {
        "ego4d/count": entry("Count", 0.5, 0.4, 0.6, 0.1),
        "nih/count": entry("Count", 0.7, 0.4, 0.6, 0.1),
    }
    given = evaluation(entries, sources=("ego4d", "nih"))
    header = {name: getattr(given, name) for name in results.HEADER}
    folder = run.Folder(tmp_path, "5")
    result = run.finish(folder, header, given.tasks, [], [], {})
    assert result.overall["nih"]["ours"]["score"] == 0.7
    board = json.loads((tmp_path / "eval/5/leaderboard-ego4d.json").read_text())
    assert board == {"results": {"baby_count": {"acc": 0.5}}}


@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_results_are_named(tmp_path, text):
    path = tmp_path / "eval" / "5" / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UserError, match="damaged"):
        run.find_whole(tmp_path, {})


def test_synthetic_is_said_by_either_summary(tmp_path):
    assert not run.is_synthetic(tmp_path)
    (tmp_path / "build_summary.json").write_text('{"records": 3}')
    assert not run.is_synthetic(tmp_path)
    (tmp_path / "devcv_summary.json").write_text('{"synthetic": true}')
    assert run.is_synthetic(tmp_path)
