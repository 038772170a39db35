"""Configs into settings, and who owns a work directory."""

import json
import pathlib

import pytest

from babyvlm_jax import settings
from babyvlm_jax.errors import UserError
from tests import tiny_run

WORLD = tiny_run.World(pathlib.Path("shards"), pathlib.Path("t.model"))


def values(**changes):
    return json.loads(tiny_run.config(WORLD, **changes).to_json())


def test_sections_become_their_dataclasses():
    run = settings.from_config(values(num_steps=7))
    assert run.num_steps == 7
    assert run.model.decoder.width == 32
    assert run.data.mixture == {"image_utterance": 1.0}
    assert run.optim.trains == (".*",)
    assert run.parts == ("vision", "connector", "decoder")
    assert settings.model_of(values()) == run.model


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"loss": "dino", "model": {"vision": {"family": "resnext"}}},
            "config.model.vision.family is 'resnext'",
        ),
        ({"accumulate": 3}, "not divisible by config.accumulate 3"),
        ({"trace_steps": [3]}, "config.trace_steps is (3,); expected (first, last)"),
        ({"trace_steps": [3, 2]}, "config.trace_steps is (3, 2); expected (first,"),
        ({"warm_start": {"ears": "runs/a"}}, "['ears']"),
    ],
)
def test_a_mistake_is_named(change, named):
    with pytest.raises(UserError) as told:
        settings.from_config({**values(), **change})
    assert named in str(told.value)


def test_a_work_directory_belongs_to_one_config(tmp_path):
    folder = tmp_path / "new" / "run"
    settings.claim_workdir(folder, values())
    (folder / "metrics.jsonl").touch()
    settings.claim_workdir(folder, values())
    assert settings.read_config(folder) == values()
    with pytest.raises(UserError) as told:
        settings.claim_workdir(folder, {**values(), "seed": 5})
    assert f"{folder} belongs to another config: seed is 0" in str(told.value)
    with pytest.raises(UserError, match=r"data\.seq_len is 32 there and 64 here"):
        settings.claim_workdir(
            folder, {**values(), "data": {**values()["data"], "seq_len": 64}}
        )
    assert settings.read_config(folder) == values()


def test_what_does_not_decide_the_result_may_change_until_the_run_is_done(tmp_path):
    settings.claim_workdir(tmp_path, values())
    (tmp_path / "metrics.jsonl").touch()
    mesh = {"data": 1, "fsdp": -1, "tensor": 1}
    settings.claim_workdir(tmp_path, {**values(), "mesh": mesh, "watchdog_s": 5.0})
    assert settings.read_config(tmp_path)["mesh"] == mesh
    (tmp_path / "done.json").touch()
    settings.claim_workdir(tmp_path, values())
    assert settings.read_config(tmp_path)["mesh"] == mesh
    with pytest.raises(UserError, match="accumulate is 1 there and 2 here"):
        settings.claim_workdir(tmp_path, {**values(), "accumulate": 2})


def test_a_config_that_never_made_a_step_gives_way(tmp_path):
    settings.claim_workdir(tmp_path, values())
    settings.claim_workdir(tmp_path, values(seed=5))
    assert settings.read_config(tmp_path)["seed"] == 5


def test_reading_the_config_of_any_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no work directory"):
        settings.read_config(tmp_path)


def test_flatten():
    assert settings.flatten({"a": {"b": 1, "c": {"d": 2}}, "e": []}) == {
        "a.b": 1,
        "a.c.d": 2,
        "e": [],
    }
