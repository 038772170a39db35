"""Saving, restoring on the same and on another mesh, and starting from other runs."""

import json

import jax
import numpy as np
import pytest

from babyvlm_jax import checkpoint, sharding
from babyvlm_jax.errors import UserError
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.optim import OptimConfig, make_tx
from babyvlm_jax.state import make_state
from tests import tiny

FORM = "official"
OPTIM = OptimConfig(trains=("connector/.*",))
MESH = (2, 2, 2)
FACTS = {"datasets": "pairs 12ab", "tokenizer": "34cd", "order": "56ef"}


@pytest.fixture(scope="module")
def host():
    return jax.tree.map(np.array, tiny.bench(FORM).params)


def place(host, mesh, add=0.0):
    """A state on `mesh` around the weights plus a number."""
    specs = tiny.bench(FORM).model.param_specs()
    host = jax.tree.map(lambda leaf: leaf + np.float32(add), host)
    params = jax.device_put(host, sharding.tree_shardings(mesh, specs))
    tx = make_tx(OPTIM, 10)
    return make_state(params, {}, tx, OPTIM.trains, mesh, specs)


@pytest.fixture(scope="module")
def saved(host, tmp_path_factory):
    """Work directory with a checkpoint of step 3, written on one device."""
    folder = tmp_path_factory.mktemp("saved")
    with jax.set_mesh(tiny.mesh_of()), checkpoint.open_manager(folder) as manager:
        checkpoint.save(manager, 3, place(host, tiny.mesh_of()), FACTS)
        other = place(host, tiny.mesh_of(), add=9.0)
        checkpoint.save(manager, 3, other, FACTS)  # left alone
    return folder


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("sizes", [(1, 1, 1), MESH])
def test_what_was_saved_comes_back_on_any_mesh(saved, host, sizes):
    mesh = tiny.mesh_of(*sizes)
    with jax.set_mesh(mesh), checkpoint.open_manager(saved) as manager:
        fresh = place(host, mesh, add=1.0)
        state = checkpoint.restore_latest(manager, fresh, FACTS)
    assert_equal(state.params, host)
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    for ours, wanted in zip(
        jax.tree.leaves(state), jax.tree.leaves(fresh), strict=True
    ):
        assert ours.sharding.is_equivalent_to(wanted.sharding, ours.ndim)


def test_other_data_is_refused_with_the_reason(saved):
    repacked = {**FACTS, "order": "new"}
    with (
        checkpoint.open_manager(saved) as manager,
        pytest.raises(
            UserError, match=r"3 cannot .* order \(order was '56ef', is 'new'"
        ),
    ):
        checkpoint.restore_latest(manager, "never looked at", repacked)


def test_without_a_checkpoint_the_state_is_as_it_was(tmp_path):
    with checkpoint.open_manager(tmp_path) as manager:
        assert checkpoint.restore_latest(manager, "as it was", FACTS) == "as it was"
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.newest_step(tmp_path)
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.newest_step(tmp_path / "nowhere")


def abstract():
    model = make_model(tiny.FORMS[FORM])
    mesh = tiny.mesh_of(*MESH)
    with jax.set_mesh(mesh):
        return checkpoint.abstract_params(model, mesh)


def test_a_warm_start_takes_the_parts_it_names(saved, host):
    source = {"vision": str(saved), "decoder": f"{saved}:decoder"}
    params = checkpoint.warm_start(abstract(), source)
    assert set(params) == {"vision", "decoder"}
    assert_equal(params, {part: host[part] for part in params})
    table = params["decoder"]["embed"]
    assert table.sharding.mesh.shape == tiny.mesh_of(*MESH).shape


def test_a_prefix_leads_deep_into_a_checkpoint(saved, host):
    leaves = abstract()["vision"]["blocks"]
    found = checkpoint.restore_params(saved, 3, "vision/blocks", leaves)
    assert_equal(found, host["vision"]["blocks"])


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{saved}:ears", "holds no 'ears'"),
        ("{saved}:vision/ears", "holds no 'vision/ears'"),
        ("{saved}:decoder", "decoder/blocks/attn/k/b"),
        ("{saved}/nowhere", "no checkpoint in"),
        ("gs://bucket/run", "gs://bucket/run"),
    ],
)
def test_a_wrong_source_is_named(saved, source, named, monkeypatch):
    def nothing(workdir):
        raise UserError(f"no checkpoint in {workdir}")

    if source.startswith("gs:"):  # nothing in tests reaches for the network
        monkeypatch.setattr(checkpoint, "newest_step", nothing)
    with pytest.raises(UserError) as told:
        checkpoint.warm_start(abstract(), {"vision": source.format(saved=saved)})
    assert named in str(told.value)


def test_a_leaf_of_another_shape_is_named(saved):
    with pytest.raises(UserError, match=r"connector/down/b has shape \(32,\)"):
        checkpoint.warm_start(
            {"connector": {"down": {"b": jax.ShapeDtypeStruct((64,), np.float32)}}},
            {"connector": str(saved)},
        )


def test_load_model_opens_a_work_directory_or_one_of_its_steps(saved, host):
    config = tiny.FORMS[FORM]
    sections = {name: vars(getattr(config, name)) for name in vars(config)}
    (saved / "config.json").write_text(json.dumps({"model": sections}))
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        model, params, info = checkpoint.load_model(saved, mesh)
        _, _, again = checkpoint.load_model(saved / "checkpoints" / "3", mesh)
    assert model.config == config
    assert_equal(params, host)
    assert info["step"] == 3
    assert info["workdir"] == str(saved)
    assert info == again


def test_load_model_refuses_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.load_model(tmp_path, tiny.mesh_of())
