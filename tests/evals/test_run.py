"""Lines to results: rows, breakdowns, means, and the folder of an evaluation."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from babyvlm_jax.data.schema import ASSISTANT, Record, write_dataset
from babyvlm_jax.evals import identity, results, run
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.items import ItemSet
from babyvlm_jax.evals.results import Metric
from babyvlm_jax.evals.run import leaderboard, overall, summarize
from babyvlm_jax.evals.scoring import Answer, make_line
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from configs.eval import devcv
from tests.evals import contents
from tests.evals.contents import entry, evaluation
from tests.evals.samples import ITEMS, memory, record

COUNT = TASKS["count"]
TEXT = "<image> How many of cup do you see?"


def lines_of(replies, control="", protocol="generate", name="count", shares=None):
    """One line for each reply; the right answer is 3, then 4, 3, 4, ..."""
    return [
        make_line(
            TASKS[name],
            "",
            record(name, TEXT, "34"[i % 2], name=f"{name}{i}"),
            Answer(protocol, control, [reply], shares and [shares]),
        )
        for i, reply in enumerate(replies)
    ]


def constant(number):
    return lines_of(["3"] * number, "constant", "")


def test_entry_has_the_fields_of_the_contract():
    replies = ["3", "4"] * 15 + ["eleven"] * 70
    count = summarize(COUNT, "count", "generate", lines_of(replies) + constant(100))
    facts = {"title": "Object Counting", "domain": "Math", "ages": (25, 42)}
    facts |= {"headline": True, "held_out": False, "primary": "accuracy"}
    facts |= {"protocol": "generate", "parser": "strict", "n": 100, "clusters": 100}
    facts |= {"score": 0.3, "constant": 0.5, "above_chance": True, "too_few": False}
    assert {name: getattr(count, name) for name in facts} == facts
    low, high = count.interval
    assert 0.18 < low < 0.25 < 0.35 < high < 0.42
    assert count.p_value < 1e-6
    chance = pytest.approx(1 / 12)
    shown = (0.3, (low, high), 100, 100, chance, count.p_value, "generate", "strict")
    assert count.metrics == {"accuracy": Metric(*shown)}


def test_rows_of_every_control_protocol_and_parser():
    twelve = [record("count", TEXT, "12", name=f"n{i}") for i in range(4)]
    said = [
        make_line(COUNT, "", item, Answer("generate", "", ["twelve"]))
        for item in twelve
    ]
    likely = {"3": 0.9, "4": 0.1}
    said += lines_of(["3"] * 4, "", "choice", shares=likely)
    said += lines_of(["3"] * 4, "no_image", "choice", shares=likely) + constant(4)
    entry = summarize(COUNT, "count", "generate", said)
    found = {
        (row.control, row.protocol, row.parser): row.metrics["accuracy"]
        for row in entry.rows
    }
    assert {key: metric.value for key, metric in found.items()} == {
        ("", "generate", "strict"): 1.0,
        ("", "generate", "official"): 0.0,
        ("", "choice", "strict"): 0.5,
        ("no_image", "choice", "strict"): 0.5,
        ("constant", "", "strict"): 0.5,
    }
    row = entry.row("", "choice")
    assert row.calibration == pytest.approx(
        {"confidence": 0.9, "accuracy": 0.5, "error": 0.4}
    )
    assert entry.row("no_text", "choice") is None


@pytest.mark.parametrize(
    ("right", "number", "above_chance", "too_few"),
    [
        (4, 40, False, False),
        (20, 40, True, False),
        (6, 6, True, False),
        (5, 5, False, True),
    ],
)
def test_above_chance_needs_a_small_p_and_six_clusters(
    right, number, above_chance, too_few
):
    replies = ["34"[i % 2] if i < right else "9" for i in range(number)]
    entry = summarize(COUNT, "", "generate", lines_of(replies) + constant(number))
    assert (entry.above_chance, entry.too_few) == (above_chance, too_few)


def test_one_recording_tells_nothing():
    """3 of 10 right of one dialogue, against a chance of 1 / 12."""
    said = lines_of(["3", "4", "3"] + ["9"] * 7) + constant(10)
    entry = summarize(
        COUNT, "count", "generate", [{**one, "cluster": "a"} for one in said]
    )
    assert (entry.score, entry.clusters) == (pytest.approx(0.3), 1)
    assert (entry.interval, entry.p_value) == ((0, 1), 1)
    assert entry.too_few
    assert not entry.above_chance


def test_simulated_guessers_raise_p():
    said = lines_of(["3", "4"] * 3 + ["9"] * 4) + constant(10)
    plain = summarize(COUNT, "count", "generate", said).p_value
    lucky = {"accuracy": np.array([0.6, 0.1, 0.1, 0.1])}
    assert plain < 0.001
    assert summarize(COUNT, "count", "generate", said, lucky).p_value == 2 * 2 / 5


def test_breakdown_by_number_is_in_order_of_size():
    items = [
        record("count", TEXT, n, name=f"c{i}") for i, n in enumerate(["10", "2", "2"])
    ]
    said = [make_line(COUNT, "", item, Answer("generate", "", ["2"])) for item in items]
    entry = summarize(COUNT, "count", "generate", said + constant(3))
    assert entry.breakdown == {
        "by": "number",
        "values": {"2": {"value": 1.0, "n": 2}, "10": {"value": 0.0, "n": 1}},
    }
    assert list(entry.breakdown["values"]) == ["2", "10"]


def test_memory_scores_by_its_adjusted_metric_and_breaks_down_by_round():
    task = TASKS["memory"]
    replies = (["A", "B", "B", "B", "B", "B"], ["A", "B", "A", "B", "B", "B"])
    said = [
        make_line(task, "", memory(6, name=f"m{i}"), Answer("generate", "", one))
        for i, one in enumerate(replies)
    ]
    flat = [
        make_line(task, "", memory(6, name=f"m{i}"), Answer("", "constant", ["B"] * 6))
        for i in range(2)
    ]
    entry = summarize(task, task.name, "generate", said + flat)
    assert entry.score == pytest.approx((1.0 + 0.5) / 2)
    assert entry.metrics["raw"].value == pytest.approx((1.0 + 0.75) / 2)
    assert entry.breakdown["by"] == "round"
    assert entry.breakdown["values"]["3"] == {"value": 0.5, "n": 2}


def test_tasks_without_a_breakdown():
    task = TASKS["leftright"]
    item = ITEMS["leftright"]
    said = [make_line(task, "", item, Answer("generate", "", ["b"]))]
    said += [make_line(task, "", item, Answer("", "constant", ["A"]))]
    assert summarize(task, task.name, "generate", said).breakdown == {}


@pytest.mark.parametrize(
    ("written", "chosen", "expected"),
    [
        ("9" * 30, "34" * 15, (0, 1, "9", 1, "9", 1)),
        ("34" * 15, "4" * 30, (1, 0.5, "3", 0.5, "", 0)),
        ("39" * 15, "34" * 15, (0.5, 1, "3", 0.5, "9", 0.5)),
        ("34" * 15, "34" * 14 + "99", None),
        ("34" * 15, "", None),
    ],
)
def test_generate_and_choice_may_disagree(written, chosen, expected):
    said = lines_of(written) + constant(30)
    said += lines_of(chosen, protocol="choice", shares={"3": 0.6, "4": 0.4})
    names = ("generate", "choice", "answer", "share", "stray", "strayed")
    found = summarize(COUNT, "count", "generate", said).disagreement
    assert found == (expected and dict(zip(names, expected, strict=True)))


def task_result(name, score, official=None, protocol="generate", **others):
    """An entry with a written answer that two parsers read differently."""
    task = TASKS[name]

    def metrics(value):
        values = dict.fromkeys(task.metrics, 0.0) | others | {task.primary: value}
        return {key: contents.metric(x, x, x, 0.25, 9) for key, x in values.items()}

    rows = [
        contents.row(task.primary, score, protocol=protocol)
        | {"parser": parser, "metrics": metrics(value)}
        for parser, value in (
            ("strict", score),
            ("official", score if official is None else official),
        )
    ]
    made = contents.entry(name, score, 0, 1, 0.25, rows=rows, primary=task.primary)
    made |= {"rows": rows, "constant": 0.3}
    return contents.evaluation({name: made}).tasks[name]


def test_leaderboard_uses_its_own_names_and_parser():
    tasks = {
        "picture_vocabulary": task_result("picture_vocabulary", 0.5, official=0.4),
        "subitize": task_result("subitize", 1.0),
        "memory": task_result("memory", 0.2),
        "vdr_open": task_result("vdr_open", 0.3),
    }
    assert leaderboard(tasks) == {
        "results": {
            "baby_pv": {"acc": 0.4},
            "baby_vdr_open": {"acc_exact": 0.3, "acc_adjacent": 0.0},
            "baby_memory": {
                "acc_learning": 0.0,
                "acc_testing_raw": 0.0,
                "acc_testing_adjusted": 0.2,
            },
        }
    }


def test_winoground_has_three_scores_on_the_leaderboard():
    compared = task_result("winoground", 0.3, protocol="match", image=0.4)
    scores = {"group_score": 0.3, "image_score": 0.4, "text_score": 0.0}
    assert leaderboard({"winoground": compared}) == {
        "results": {"baby_winoground": scores}
    }


def test_what_was_not_asked_to_write_is_not_on_the_leaderboard():
    chosen = task_result("count", 0.5, protocol="choice")
    assert leaderboard({"count": chosen}) == {"results": {}}


def test_both_rules_of_the_mean():
    scores = {
        "picture_vocabulary": 0.5,
        "memory": 0.3,
        "vdr_open": 0.9,
        "subitize": 1.0,
    }
    means = overall({name: task_result(name, score) for name, score in scores.items()})
    # (.5 + .3 + .9) / 11; eight slots are missing and count 0
    assert means["leaderboard"]["mean"] == pytest.approx(100 * 1.7 / 11)
    assert "baby_winoground" in means["leaderboard"]["missing"]
    assert len(means["leaderboard"]["missing"]) == 8
    # vdr_open stands for no group; what is missing is not counted
    missing = ["lwl", "localize", "leftright", "spatialdetails", "vdr_binary"]
    assert means["ours"] == {
        "score": pytest.approx((0.5 + 0.3 + 1.0) / 3),
        "chance": pytest.approx(0.25),
        "constant": pytest.approx(0.3),
        "tasks": 3,
        "missing": [*missing, "compare_synthetic", "count"],
    }


def test_nothing_measured():
    means = overall({})
    assert means["leaderboard"]["mean"] == 0
    assert means["ours"]["score"] is None


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
    return identity.fingerprint(cfg, cfg.checkpoint, item_set)


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
    before = identity.fingerprint(cfg, str(file), item_set)
    file.write_text("{} ")
    assert identity.fingerprint(cfg, str(file), item_set) != before


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
    assert identity.find_whole(tmp_path, marks) is None
    lines = [line("b"), line("a"), line("a", protocol="choice")]
    given = evaluation({"count": entry("Count", 0.5, 0.4, 0.6, 0.1)})
    header = {name: getattr(given, name) for name in results.HEADER}
    result = run.finish(folder, header, given.tasks, lines, ["odd"], marks)
    assert result.problems == ["odd"]
    assert result.overall[""]["ours"]["score"] == 0.5
    path = identity.find_whole(tmp_path, marks)
    assert path == tmp_path / "eval/5/results.json"
    assert results.read_evaluation(path.parent) == result
    assert identity.find_whole(tmp_path, {"count": "other"}) is None
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
        identity.find_whole(tmp_path, {})


def test_synthetic_is_said_by_either_summary(tmp_path):
    assert not identity.is_synthetic(tmp_path)
    (tmp_path / "build_summary.json").write_text('{"records": 3}')
    assert not identity.is_synthetic(tmp_path)
    (tmp_path / "devcv_summary.json").write_text('{"synthetic": true}')
    assert identity.is_synthetic(tmp_path)
