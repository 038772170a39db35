"""What an evaluation was asked, and of whom."""

import dataclasses

import pytest

from babyvlm_jax.evals.config import EvalConfig, expand, find_targets, run_of
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from configs.eval import devcv, v1


@pytest.fixture
def cfg(tmp_path):
    for name in ("run/checkpoints/5", "shards"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "answers.jsonl").write_text("")
    values = devcv.get_config().to_dict()
    values["checkpoint"] = str(tmp_path / "run")
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
    assert [ours.protocols_of(task) for task in ours.selected_tasks] == [
        *[("match",)] * 3,
        ("generate",),
    ]
    assert ours.needs_options(TASKS["vtwt"])
    assert not ours.needs_options(TASKS["caption"])
    assert ours.suffix == ""
    assert dataclasses.replace(ours, normalize=False).suffix == "-summed"
    changes = {"score_eos": True, "ties": "wrong"}
    assert dataclasses.replace(ours, **changes).suffix == "-eos-ties-wrong"
    matched = dataclasses.replace(ours, protocols=("match",)).selected_tasks
    assert [task.name for task in matched] == ["labeled_s", "vtwt", "winoground"]
    every = dataclasses.replace(ours, tasks=("all",), protocols=("choice",))
    assert {task.benchmark for task in every.selected_tasks} == {"devcv"}


def test_paths_and_patterns(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name / "instruct").mkdir(parents=True)
    found = expand(f"{tmp_path}/c/instruct,{tmp_path}/[ab]/instruct")
    assert found == [f"{tmp_path}/{name}/instruct" for name in "cab"]


def test_a_checkpoint_may_have_commas_in_its_name(tmp_path):
    for name in ("a,b", "c", "d,1", "d,2"):
        (tmp_path / name).mkdir()
    listed = f"{tmp_path}/a,b,{tmp_path}/c,{tmp_path}/d,*"
    assert expand(listed) == [f"{tmp_path}/{n}" for n in ("a,b", "c", "d,1", "d,2")]


@pytest.fixture
def models_cfg(tmp_path):
    for name in ("a/instruct", "b/instruct", "c"):
        for step in ("900", "1000", "tmp"):
            (tmp_path / name / "checkpoints" / step).mkdir(parents=True)
    (tmp_path / "answers.jsonl").write_text("")
    values = devcv.get_config().to_dict()
    values["checkpoint"] = str(tmp_path / "a/instruct")
    values["shards"] = str(tmp_path)
    return EvalConfig(**values)


def found(models_cfg, tmp_path, **changes):
    targets = find_targets(dataclasses.replace(models_cfg, **changes))
    return [(t.path.removeprefix(f"{tmp_path}/"), t.folder(7, "-x")) for t in targets]


def test_one_checkpoint_is_called_by_its_step(models_cfg, tmp_path):
    assert found(models_cfg, tmp_path) == [("a/instruct", "7-x")]


def test_a_trajectory_is_in_the_order_of_steps(models_cfg, tmp_path):
    assert found(models_cfg, tmp_path, trajectory=True) == [
        ("a/instruct/checkpoints/900", "7-x"),
        ("a/instruct/checkpoints/1000", "7-x"),
    ]


def test_a_trajectory_needs_checkpoints(models_cfg, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"config\.keep"):
        found(models_cfg, tmp_path, checkpoint=str(tmp_path / "empty"), trajectory=True)


def test_several_runs_are_told_apart(models_cfg, tmp_path):
    assert found(models_cfg, tmp_path, checkpoint=f"{tmp_path}/[ab]/instruct") == [
        ("a/instruct", "a-instruct-7-x"),
        ("b/instruct", "b-instruct-7-x"),
    ]
    pair = f"{tmp_path}/a/instruct,{tmp_path}/c"
    assert [name for _, name in found(models_cfg, tmp_path, checkpoint=pair)] == [
        "instruct-7-x",
        "c-7-x",
    ]


def test_other_models_are_called_by_their_file(models_cfg, tmp_path):
    file = str(tmp_path / "answers.jsonl")
    (target,) = find_targets(
        dataclasses.replace(models_cfg, checkpoint="", predictions=file)
    )
    assert (target.kind, target.folder(None, "")) == ("predictions", "answers")


def test_run_of():
    assert run_of("runs/a/checkpoints/5") == "runs/a"
    assert run_of("runs/a") == "runs/a"
