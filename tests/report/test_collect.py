"""Reading a run folder: the newest evaluation, resumed curves, damaged files."""

import json

import pytest

from babyvlm_jax.report.collect import (
    Score,
    read_growth,
    read_phases,
    read_predictions,
    read_results,
)
from babyvlm_jax.runtime.errors import UserError
from tests.report import fake_run


def test_newest_evaluation_is_the_greatest_step_with_results(tmp_path):
    for step in ("9", "10"):
        fake_run.write_results(tmp_path / "eval" / step, step=int(step))
    (tmp_path / "eval" / "11").mkdir()
    results = read_results(tmp_path)
    assert results.path == tmp_path / "eval" / "10" / "results.json"
    assert (results.step, results.split, results.synthetic) == (10, "test", True)


def test_tasks_stand_by_age_and_group_with_extra_rows_last(tmp_path):
    fake_run.write_results(tmp_path / "eval" / "1")
    names = [task.name for task in read_results(tmp_path).tasks]
    assert names == [
        *("localize", "leftright", "spatialdetails", "lwl"),
        *("vdr_binary", "vdr_open", "memory", "picture_vocabulary"),
        *("compare_synthetic", "compare_real", "subitize", "count"),
    ]


def test_headline_mean_and_tasks_not_above_chance(tmp_path):
    fake_run.write_results(tmp_path / "eval" / "1", ("compare_synthetic", "count"))
    results = read_results(tmp_path)
    assert results.mean == pytest.approx((0.535 + 0.38) / 2)
    assert results.mean_chance == pytest.approx((1 / 2 + 1 / 12) / 2)
    assert [task.name for task in results.not_above] == ["compare_synthetic"]


def test_other_metrics_stand_beside_the_primary_one(tmp_path):
    fake_run.write_results(tmp_path / "eval" / "1", ("memory",))
    (task,) = read_results(tmp_path).tasks
    assert task.primary == "adjusted"
    assert set(task.others) == {"learning", "raw"}
    assert isinstance(task.others["raw"], Score)
    assert task.others["raw"].chance == 0.5


def test_without_evaluation_says_to_run_it(tmp_path):
    with pytest.raises(UserError, match=r"no evaluation in .*evaluate --workdir="):
        read_results(tmp_path)


def test_other_evaluations_are_named_and_can_be_chosen(tmp_path):
    for name in ("9-choice", "10-choice", "theirs"):
        fake_run.write_results(tmp_path / "eval" / name, ("count",), step=9)
    with pytest.raises(UserError, match=r"has 10-choice, 9-choice, theirs.*--eval="):
        read_results(tmp_path)
    with pytest.raises(UserError, match=r"no .*eval/11/results\.json.*--eval=theirs"):
        read_results(tmp_path, "11")
    results = read_results(tmp_path, "10-choice")
    assert results.path == tmp_path / "eval" / "10-choice" / "results.json"
    (growth,) = read_growth(tmp_path, results.suffix)
    assert growth.steps == (9, 10)
    assert read_growth(tmp_path, read_results(tmp_path, "theirs").suffix) == ()


@pytest.mark.parametrize("content", ["{", "{}", '{"tasks": {"count": {}}}', "[]"])
def test_damaged_results_are_named(tmp_path, content):
    path = tmp_path / "eval" / "1" / "results.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError, match=r"1/results\.json is not"):
        read_results(tmp_path)


def test_predictions_are_grouped_by_task_and_sorted(tmp_path):
    fake_run.write_results(tmp_path / "eval" / "1", ("count",))
    results = read_results(tmp_path)
    plain = {"source": "", "task": "count", "control": "", "protocol": "generate"}
    lines = [{**plain, "id": key} for key in ("b", "a")]
    others = [{**lines[0], "control": "no_text"}, {**lines[0], "protocol": "choice"}]
    results.path.with_name("predictions.jsonl").write_text(
        "\n".join(json.dumps(line) for line in lines + others)
    )
    assert read_predictions(results) == {"count": lines[::-1]}


def test_missing_or_cut_predictions_are_named(tmp_path):
    fake_run.write_results(tmp_path / "eval" / "1", ("count",))
    results = read_results(tmp_path)
    with pytest.raises(UserError, match=r"no .*predictions.jsonl"):
        read_predictions(results)
    results.path.with_name("predictions.jsonl").write_text('{"task": "co')
    with pytest.raises(UserError, match=r"predictions\.jsonl, line 1 is not JSON"):
        read_predictions(results)


def write_metrics(folder, entries):
    folder.mkdir()
    half = '{"step": 9, "time_'  # the run is killed, or writes it now
    lines = [*(json.dumps(entry) for entry in entries), half]
    (folder / "metrics.jsonl").write_text("\n".join(lines))


def test_phases_come_in_training_order_and_repeated_steps_count_once(tmp_path):
    write_metrics(tmp_path / "joint", [{"step": 1, "time_s": 2.0, "train/loss": 3.0}])
    write_metrics(
        tmp_path / "language",
        [
            {"step": 1, "time_s": 1.0, "train/loss": 5.0},
            {"step": 2, "time_s": 2.0, "train/loss": 4.0},
            {"step": 2, "time_s": 3.0, "train/loss": 4.5},
            {"step": 3, "time_s": 4.0, "train/loss": float("nan")},
            {"step": 3, "time_s": 5.0, "val/loss": 9.0},
        ],
    )
    language, joint = read_phases(tmp_path)
    assert (language.name, joint.name) == ("language", "joint")
    assert (language.steps, language.losses) == ((1, 2), (5.0, 4.5))
    assert (language.seconds, language.config) == (5.0, {})


def test_growth_follows_the_evaluated_steps_in_order(tmp_path):
    for step, tasks in ((9, ("count",)), (100, ("count", "lwl"))):
        fake_run.write_results(tmp_path / "eval" / str(step), tasks, step=step)
    fake_run.write_results(tmp_path / "eval" / "100-choice", ("lwl",))
    (growth,) = read_growth(tmp_path)
    assert (growth.title, growth.months) == ("Object Counting", "25 to 42 months")
    assert growth.steps == (9, 100)
    assert [score.value for score in growth.scores] == [0.38, 0.38]
