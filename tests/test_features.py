"""Training on features of the frozen encoder equals training on the pictures."""

import json
import types

import jax
import numpy as np
import pytest

from babyvlm_jax import features, train
from babyvlm_jax.data.features import FeatureStore
from babyvlm_jax.models.config import VLMConfig
from babyvlm_jax.models.fingerprint import fingerprint
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.training import checkpoint, preflight, settings
from babyvlm_jax.training.objectives import make_objective
from tests import tiny, tiny_run

STEPS = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tiny_run.make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def eyes(world, tmp_path_factory):
    """Work directory with an encoder."""
    workdir = tmp_path_factory.mktemp("eyes")
    cfg = from_dict(VLMConfig, tiny_run.config(world).model.to_dict())
    with jax.set_mesh(tiny.mesh_of()):
        params = jax.jit(lambda key: make_model(cfg).init(key, ("vision",)))(
            jax.random.key(7)
        )
    checkpoint.save_params(workdir, 1, params)
    return workdir


def connector(world, eyes, store="", **changes):
    """The connector phase, with features if there is a store."""
    c = tiny_run.config(world, num_steps=STEPS, **changes)
    c.model.connector.tokens_per_image = 0
    c.data.tokens_per_image = 5
    c.optim.trains = ("connector/.*", "decoder/.*")
    c.warm_start = {"vision": str(eyes)}
    c.data.features = str(store)
    return c


@pytest.fixture(scope="module")
def store(world, eyes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    features.main(connector(world, eyes, folder))
    return folder


def losses(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train/loss"] for line in lines]


@pytest.mark.slow
def test_the_losses_are_those_of_a_live_encoder(world, eyes, store, tmp_path):
    train.main(connector(world, eyes), str(tmp_path / "live"))
    train.main(connector(world, eyes, store), str(tmp_path / "kept"))
    live, kept = losses(tmp_path / "live"), losses(tmp_path / "kept")
    assert len(live) == STEPS
    assert live[-1] != live[0]
    # the same arithmetic in batches of other sizes, in f32
    np.testing.assert_allclose(kept, live, rtol=0, atol=1e-6)


@pytest.mark.integration
def test_each_picture_is_kept_once_and_nothing_is_made_twice(
    world, eyes, store, capsys
):
    assert len(FeatureStore(store)) == 40
    features.main(connector(world, eyes, store))
    assert "0 pictures added to 40" in capsys.readouterr().out


def refused(config, workdir):
    with pytest.raises(UserError) as refusal:
        train.main(config, str(workdir))
    assert not (workdir / "metrics.jsonl").exists()
    return str(refusal.value)


@pytest.mark.integration
def test_features_of_another_encoder_are_refused(world, eyes, store, tmp_path):
    config = connector(world, eyes, store)
    config.warm_start = {}
    assert "the encoder has other weights" in refused(config, tmp_path)


@pytest.mark.integration
def test_an_encoder_that_trains_has_no_features(world, eyes, store, tmp_path):
    config = connector(world, eyes, store)
    config.optim.trains = (".*",)
    assert "trains the vision encoder" in refused(config, tmp_path)


@pytest.mark.parametrize(
    ("trains", "told"),
    [(".*", "trains the vision encoder"), ("decoder/.*", "has other weights")],
)
def test_features_that_would_not_be_its_own_are_no_run_s(trains, told):
    """Asked without a run: `check_features` sees the parameters and the facts."""
    values = json.loads(tiny_run.config(tiny_run.World("s", "t")).to_json())
    values["data"]["features"], values["optim"]["trains"] = "somewhere", (trains,)
    run = settings.from_config(values)
    params = {"vision": {"w": np.zeros(3, np.float32)}}
    with jax.set_mesh(tiny.mesh_of()):
        facts = {**run.feature_facts, "encoder": "of other weights"}
        source = types.SimpleNamespace(features=types.SimpleNamespace(facts=facts))
        with pytest.raises(UserError, match=told):
            preflight.check_features(make_objective(run), source, params)
        facts["encoder"] = fingerprint(params["vision"])
        if trains != ".*":
            preflight.check_features(make_objective(run), source, params)


def test_dino_has_no_features(world, tmp_path):
    config = tiny_run.vision_config(world)
    config.data.features = "somewhere"
    assert "which config.loss 'dino' trains" in refused(config, tmp_path)


def test_what_the_command_needs(world, eyes):
    with pytest.raises(UserError, match=r"config\.data\.features is empty"):
        features.main(connector(world, eyes))
    config = connector(world, eyes, "somewhere")
    config.warm_start = {}
    with pytest.raises(UserError, match=r"config\.warm_start has no 'vision'"):
        features.main(config)
