"""Bad configs fail by name before any device has work."""

import dataclasses
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint, preflight, settings
from babyvlm_jax.training.checkpoint import whole
from babyvlm_jax.training.objectives import make_objective
from tests import tiny, tiny_pairs, tiny_run
from tests.interchange.workdirs import MODELS

WORLD = tiny_run.World(pathlib.Path("shards"), pathlib.Path("t.model"))


def run_of(make=tiny_run.config, **changes):
    """Settings of the tiny run with single values changed, as `a__b=value`."""
    config = make(WORLD)
    with config.unlocked():
        for path, value in changes.items():
            *sections, name = path.split("__")
            place = config
            for section in sections:
                place = place[section]
            place[name] = value
    return settings.from_config(json.loads(config.to_json()))


def objective_of(*args, **changes):
    return make_objective(run_of(*args, **changes))


@pytest.mark.parametrize("make", [tiny_run.config, tiny_run.vision_config])
def test_a_good_config_passes(make):
    preflight.check_run(objective_of(make), tiny.mesh_of(2, 2, 2))


def test_a_trained_model_must_divide_over_the_mesh(tmp_path):
    for name in ("nursery", "v1"):
        (tmp_path / name).mkdir()
        model = {"model": dataclasses.asdict(MODELS[name])}
        (tmp_path / name / "config.json").write_text(json.dumps(model))
    preflight.check_checkpoint(tmp_path / "nursery", tiny.mesh_of(2, 2, 2))
    with pytest.raises(UserError, match=r"nursery: config\.mesh\.tensor 4 does not"):
        preflight.check_checkpoint(tmp_path / "nursery", tiny.mesh_of(2, 1, 4))
    with pytest.raises(UserError, match=r"v1: config\.mesh.*make config\.mesh\."):
        preflight.check_checkpoint(tmp_path / "v1", tiny.mesh_of(1, 3, 2))
    with pytest.raises(UserError, match=r"none is no work directory"):
        preflight.check_checkpoint(tmp_path / "none", tiny.mesh_of())


def test_a_trained_contrastive_model_must_divide_too(tmp_path):
    config = json.loads(tiny_pairs.config(WORLD).to_json())
    (tmp_path / "config.json").write_text(json.dumps(config))
    preflight.check_checkpoint(tmp_path, tiny.mesh_of(2, 1, 2))
    with pytest.raises(UserError, match=r"config\.mesh\.tensor 8 does not divide"):
        preflight.check_checkpoint(tmp_path, tiny.mesh_of(1, 1, 8))


@pytest.mark.parametrize(
    ("sizes", "changes", "told"),
    [
        (
            (1, 1, 4),
            {},
            "config.mesh.tensor 4 does not divide config.model.decoder.num_heads 2; "
            "set it to a divisor of 2",
        ),
        (
            (1, 1, 4),
            {"model__decoder__num_heads": 4, "model__decoder__num_kv_heads": 2},
            "config.mesh.tensor 4 does not divide config.model.decoder.num_kv_heads 2",
        ),
        (
            (1, 1, 2),
            {"model__vision__num_heads": 1},
            "config.mesh.tensor 2 does not divide config.model.vision.num_heads 1",
        ),
        (
            (1, 8, 1),
            {"model__connector__hidden_dim": 36, "model__decoder__width": 36},
            "config.mesh: connector/down/b has a dimension of 36, which is not "
            "divisible by fsdp = 8; make config.mesh.fsdp smaller",
        ),
        ((8, 1, 1), {"data__batch_size": 12}, "batch of 12 rows is not divisible"),
        ((8, 1, 1), {"accumulate": 2}, "batch of 4 rows is not divisible"),
        (
            (1, 1, 1),
            {"model__decoder__attention": "splash"},
            "config.model.decoder.attention 'splash' needs rows of a multiple of 128",
        ),
        (
            (1, 1, 1),
            {"model__decoder__attention": "cudnn"},
            "config.model.decoder.attention 'cudnn' runs on gpu, not on cpu",
        ),
        (
            (1, 1, 1),
            {"optim__trains": ("vision/.*", "ears/.*")},
            "config.optim.trains: 'ears/.*' matches no parameter",
        ),
        (
            (1, 1, 1),
            {"optim__trains": ("vision/.*", ".*/patch/w")},
            "'vision/.*' and '.*/patch/w' both match 'vision/stem/patch/w'",
        ),
        (
            (1, 1, 1),
            {"optim__decays": (".*/weight",)},
            "config.optim.decays: '.*/weight' matches no parameter",
        ),
    ],
)
def test_a_bad_config_is_named(sizes, changes, told):
    with pytest.raises(UserError) as error:
        preflight.check_run(objective_of(**changes), tiny.mesh_of(*sizes))
    assert told in str(error.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Work directory of the tiny run's model."""
    workdir = tmp_path_factory.mktemp("trained")
    with jax.set_mesh(tiny.mesh_of()):
        shapes = jax.eval_shape(make_model(run_of().model).init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    checkpoint.save_params(workdir, 7, params)
    return workdir


@pytest.mark.parametrize(
    ("part", "field", "value", "told"),
    [
        (
            "decoder",
            "num_layers",
            2,
            "7/params: decoder/blocks/attn/k/w has shape (1,",
        ),
        ("connector", "num_ordinals", 4, "connector/ordinals has shape None, here it"),
    ],
)
def test_a_checkpoint_of_another_architecture_names_the_leaf(
    trained, part, field, value, told
):
    run = run_of(warm_start={part: str(trained)})
    with jax.set_mesh(tiny.mesh_of()):
        preflight.check_warm_start(make_objective(run), "12ab")
        changes = {f"model__{part}__{field}": value}
        run = run_of(warm_start={part: str(trained)}, **changes)
        with pytest.raises(UserError) as error:
            preflight.check_warm_start(make_objective(run), "12ab")
    assert str(error.value).startswith(f"config.warm_start.{part}: ")
    assert told in str(error.value)
    assert "use the config.model" in str(error.value)


@pytest.mark.parametrize(
    ("known", "here", "fits"),
    [
        ("12ab; 12ab", "12ab", True),
        ("34cd", "12ab", False),
        ("", "12ab", True),
    ],
)
def test_words_keep_their_numbers_from_phase_to_phase(
    trained, tmp_path, known, here, fits
):
    folder = tmp_path / "language"
    shutil.copytree(trained, folder)
    facts = folder / "checkpoints" / "7" / "data" / "metadata"
    facts.write_text(json.dumps({"tokenizer": known}))
    whole.seal(folder / "checkpoints" / "7")
    for part in ("decoder", "vision"):
        run = run_of(warm_start={part: str(folder)})
        with jax.set_mesh(tiny.mesh_of()):
            if fits or part == "vision":
                preflight.check_warm_start(make_objective(run), here)
                continue
            with pytest.raises(UserError, match=r"34cd.*12ab.*give the tokenizer"):
                preflight.check_warm_start(make_objective(run), here)


def test_a_warm_start_of_a_part_that_the_run_lacks(trained):
    changes = {"parts": ("decoder",), "data__max_images": 0}
    run = run_of(warm_start={"vision": str(trained)}, **changes)
    with (
        jax.set_mesh(tiny.mesh_of()),
        pytest.raises(UserError, match=r"names .vision., but config\.parts is"),
    ):
        preflight.check_warm_start(make_objective(run), "12ab")


def test_nothing_is_computed(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("something was compiled")

    monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)
    preflight.check_run(objective_of(), tiny.mesh_of())
