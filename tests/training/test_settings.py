"""Configs into settings, and who owns a work directory."""

import json
import pathlib

import pytest

from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import settings
from babyvlm_jax.training.config import OptimConfig
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


@pytest.fixture
def begun(tmp_path):
    """A work directory in which a step was tried."""
    settings.write_config(tmp_path, values())
    (tmp_path / "metrics.jsonl").touch()
    return tmp_path


def changed(key, value):
    """The values with one more, or another one, at a.b.c."""
    new = values()
    *sections, name = key.split(".")
    inner = new
    for section in sections:
        inner = inner[section]
    inner[name] = value
    return new


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seed", 5, "seed is 0 there and 5 here"),
        ("data.seq_len", 64, "data.seq_len is 32 there and 64 here"),
        (
            "data.mixture",
            {"text": 1.0},
            "data.mixture.image_utterance is 1.0 there and",
        ),
        ("optim.beta2", 0.5, "optim.beta2 is "),  # a default in the one there
        ("data.features", "/f", "features is False there and True here"),
        ("warm_start", {"vision": "/a"}, "warm_start is [] there and ['vision'] here"),
    ],
)
def test_a_work_directory_belongs_to_one_config(begun, key, value, told):
    assert settings.check_workdir(begun, values())
    with pytest.raises(UserError) as error:
        settings.check_workdir(begun, changed(key, value))
    assert f"{begun} belongs to another config: {told}" in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "is_in_place"),
    [
        ("mesh", {"data": 1, "fsdp": -1, "tensor": 1}, True),
        ("watchdog_s", 5.0, True),
        ("name", "renamed", True),
        ("data.num_threads", 3, True),
        ("optim.schedule", OptimConfig().schedule, True),  # a key that is new since
        ("data.fraction", 1, True),
        ("data.shards", "moved/shards/", False),
        ("data.tokenizer", "moved/t.model", False),
    ],
)
def test_what_does_not_decide_the_result_may_change(begun, key, value, is_in_place):
    assert settings.check_workdir(begun, changed(key, value)) is is_in_place


def test_what_a_run_began_from_may_move(begun):
    settings.write_config(begun, changed("warm_start", {"vision": "a:teacher/vision"}))
    moved = changed("warm_start", {"vision": "b:teacher/vision"})
    assert settings.check_workdir(begun, moved) is False


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"oops": 1}', "\0"])
def test_a_damaged_config_is_told(begun, text):
    (begun / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        settings.check_workdir(begun, values())


def test_a_config_that_never_made_a_step_gives_way(tmp_path):
    settings.write_config(tmp_path, values())
    assert settings.check_workdir(tmp_path, values(seed=5))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("runs/a", ("runs/a", "vision")),
        ("runs/a:teacher/vision", ("runs/a", "teacher/vision")),
        ("{here}/at:2", ("{here}/at:2", "vision")),
        ("{here}/at:2:teacher/vision", ("{here}/at:2", "teacher/vision")),
        ("gs://bucket/run", ("gs://bucket/run", "vision")),
        ("gs://bucket/run:a", ("gs://bucket/run", "a")),
    ],
)
def test_a_source_may_have_a_prefix_and_its_folder_a_colon(tmp_path, source, expected):
    (tmp_path / "at:2" / "checkpoints").mkdir(parents=True)
    found = settings.split_source("vision", source.format(here=tmp_path))
    assert found == tuple(text.format(here=tmp_path) for text in expected)


def test_reading_the_config_of_any_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no work directory"):
        settings.read_config(tmp_path)


def test_flatten():
    assert settings.flatten({"a": {"b": 1, "c": {"d": 2}}, "e": []}) == {
        "a.b": 1,
        "a.c.d": 2,
        "e": [],
    }
