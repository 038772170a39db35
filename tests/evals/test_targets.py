import dataclasses

import pytest

from babyvlm_jax.evals.config import EvalConfig, find_targets, run_of
from babyvlm_jax.runtime.errors import UserError
from configs.eval import devcv


@pytest.fixture
def cfg(tmp_path):
    for name in ("a/instruct", "b/instruct", "c"):
        for step in ("900", "1000", "tmp"):
            (tmp_path / name / "checkpoints" / step).mkdir(parents=True)
    (tmp_path / "answers.jsonl").write_text("")
    values = devcv.get_config().to_dict()
    values["checkpoint"] = str(tmp_path / "a/instruct")
    values["shards"] = str(tmp_path)
    return EvalConfig(**values)


def found(cfg, tmp_path, **changes):
    targets = find_targets(dataclasses.replace(cfg, **changes))
    return [(t.path.removeprefix(f"{tmp_path}/"), t.folder(7, "-x")) for t in targets]


def test_one_checkpoint_is_called_by_its_step(cfg, tmp_path):
    assert found(cfg, tmp_path) == [("a/instruct", "7-x")]


def test_a_trajectory_is_in_the_order_of_steps(cfg, tmp_path):
    assert found(cfg, tmp_path, trajectory=True) == [
        ("a/instruct/checkpoints/900", "7-x"),
        ("a/instruct/checkpoints/1000", "7-x"),
    ]


def test_a_trajectory_needs_checkpoints(cfg, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"config\.keep"):
        found(cfg, tmp_path, checkpoint=str(tmp_path / "empty"), trajectory=True)


def test_several_runs_are_told_apart(cfg, tmp_path):
    assert found(cfg, tmp_path, checkpoint=f"{tmp_path}/[ab]/instruct") == [
        ("a/instruct", "a-instruct-7-x"),
        ("b/instruct", "b-instruct-7-x"),
    ]
    pair = f"{tmp_path}/a/instruct,{tmp_path}/c"
    assert [name for _, name in found(cfg, tmp_path, checkpoint=pair)] == [
        "instruct-7-x",
        "c-7-x",
    ]


def test_other_models_are_called_by_their_file(cfg, tmp_path):
    file = str(tmp_path / "answers.jsonl")
    (target,) = find_targets(dataclasses.replace(cfg, checkpoint="", predictions=file))
    assert (target.kind, target.folder(None, "")) == ("predictions", "answers")


def test_run_of():
    assert run_of("runs/a/checkpoints/5") == "runs/a"
    assert run_of("runs/a") == "runs/a"
