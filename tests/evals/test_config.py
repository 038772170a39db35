"""What an evaluation was asked, and of whom."""

import dataclasses

import pytest

from babyvlm_jax.evals.config import EvalConfig, expand, find_targets, run_of
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from configs.eval import devcv, v1


@pytest.fixture
def cfg(tmp_path):
    for name in ("a/instruct", "b/instruct", "c"):
        for step in ("900", "1000", "tmp"):
            (tmp_path / name / "checkpoints" / step).mkdir(parents=True)
    (tmp_path / "shards").mkdir()
    (tmp_path / "answers.jsonl").write_text("")
    values = devcv.get_config().to_dict()
    values["checkpoint"] = str(tmp_path / "a/instruct")
    values["shards"] = str(tmp_path / "shards")
    return EvalConfig(**values)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"checkpoint": ""}, "who is to answer"),
        ({"transformers": "/x"}, "who is to answer"),
        ({"checkpoint": "/nowhere"}, "config.checkpoint"),
        ({"shards": "/nowhere"}, "config.shards"),
        ({"shards": "a=/nowhere,b=/nowhere"}, "config.shards.*a "),
        ({"tokenizer": "/nowhere"}, "config.tokenizer"),
        ({"tasks": ("counting",)}, "counting"),
        ({"tasks": ("winoground",)}, "config.protocols.*'winoground'.*match"),
        ({"tasks": ("caption",), "protocols": ("choice",)}, "'caption'.*generate"),
    ],
)
def test_impossible_settings_are_named(cfg, change, named):
    with pytest.raises(UserError, match=named):
        dataclasses.replace(cfg, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"controls": ("no_text",)},
        {"permute": True},
        {"protocols": ("match",)},
        {"trajectory": True},
    ],
)
def test_a_file_of_predictions_answers_plain_items_only(cfg, tmp_path, change):
    file = {"checkpoint": "", "predictions": str(tmp_path / "answers.jsonl")}
    assert dataclasses.replace(cfg, **file).kind == "predictions"
    with pytest.raises(
        UserError, match=r"config\.(predictions|controls|trajectory)|file"
    ):
        dataclasses.replace(cfg, **file, **change)


def test_suffix_says_what_differs_from_the_norm(cfg):
    assert cfg.suffix == ""
    assert dataclasses.replace(cfg, controls=("no_text",), batch_size=8).suffix == ""
    changes = {"split": "val", "protocols": ("choice",), "permute": True}
    other = dataclasses.replace(cfg, **changes, normalize=True, limit=8)
    assert other.suffix == "-val-choice-permuted-normalized-first8"


def test_what_is_asked(cfg):
    count = TASKS["count"]
    assert cfg.protocols_of(count) == ("generate", "choice")
    assert cfg.needs_options(count)
    assert not dataclasses.replace(cfg, protocols=("generate",)).needs_options(count)
    assert len(cfg.selected_tasks) == 12


def test_each_task_is_asked_by_the_protocols_that_serve_it(cfg):
    values = v1.get_config().to_dict()
    values |= {"checkpoint": cfg.checkpoint, "shards": cfg.shards}
    ours = EvalConfig(**values)
    asked = [ours.protocols_of(task) for task in ours.selected_tasks]
    assert asked == [*[("match",)] * 3, ("generate",)]
    needs = [ours.needs_options(task) for task in ours.selected_tasks]
    assert needs == [True, True, True, False]
    for changes, suffix in (
        ({}, ""),
        ({"normalize": False}, "-summed"),
        ({"score_eos": True, "ties": "wrong"}, "-eos-ties-wrong"),
    ):
        assert dataclasses.replace(ours, **changes).suffix == suffix
    matched = dataclasses.replace(ours, protocols=("match",)).selected_tasks
    assert [task.name for task in matched] == ["labeled_s", "vtwt", "winoground"]
    every = dataclasses.replace(ours, tasks=("all",), protocols=("choice",))
    assert {task.benchmark for task in every.selected_tasks} == {"devcv"}


def test_a_checkpoint_may_have_commas_in_its_name(tmp_path):
    for name in ("a,b", "c", "d,1", "d,2"):
        (tmp_path / name).mkdir()
    listed = f"{tmp_path}/a,b,{tmp_path}/c,{tmp_path}/d,*"
    assert expand(listed) == [f"{tmp_path}/{n}" for n in ("a,b", "c", "d,1", "d,2")]


A, B, C = "a/instruct", "b/instruct", "c"


@pytest.mark.parametrize(
    ("changes", "targets"),
    [
        ({}, {A: "7-x"}),
        (
            {"trajectory": True},
            {f"{A}/checkpoints/900": "7-x", f"{A}/checkpoints/1000": "7-x"},
        ),
        (
            {"checkpoint": "ROOT/[ab]/instruct"},
            {A: "a-instruct-7-x", B: "b-instruct-7-x"},
        ),
        ({"checkpoint": f"ROOT/{A},ROOT/{C}"}, {A: "instruct-7-x", C: "c-7-x"}),
        (
            {"checkpoint": "", "predictions": "ROOT/answers.jsonl"},
            {"answers.jsonl": "7-x"},
        ),
    ],
)
def test_models_and_the_folders_of_their_results(cfg, tmp_path, changes, targets):
    changes = {
        name: value.replace("ROOT", str(tmp_path)) if isinstance(value, str) else value
        for name, value in changes.items()
    }
    found = find_targets(dataclasses.replace(cfg, **changes))
    names = {t.path.removeprefix(f"{tmp_path}/"): t.folder(7, "-x") for t in found}
    assert list(names.items()) == list(targets.items())
    assert {t.folder(None, "-x") for t in found if t.kind == "predictions"} <= {
        "answers-x"
    }


def test_a_trajectory_needs_checkpoints(cfg, tmp_path):
    with pytest.raises(UserError, match=r"config\.keep"):
        shards = str(tmp_path / "shards")
        find_targets(dataclasses.replace(cfg, checkpoint=shards, trajectory=True))


def test_run_of():
    assert run_of("runs/a/checkpoints/5") == "runs/a"
    assert run_of("runs/a") == "runs/a"
