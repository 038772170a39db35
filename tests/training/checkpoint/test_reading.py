"""Starting from other runs, and opening one for evaluation."""

import json
import shutil

import jax
import numpy as np
import pytest
from etils import epath

from babyvlm_jax.data.hf_tokenizer import from_sentencepiece
from babyvlm_jax.data.tokenizer import Tokenizer, train
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint
from babyvlm_jax.training.checkpoint import reading
from tests import tiny
from tests.training.checkpoint.states import FACTS, FORM, MESH, assert_equal


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
        monkeypatch.setattr(reading, "newest_step", nothing)
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


def test_a_step_that_is_not_whole_is_not_opened(saved, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(saved, folder)
    step = folder / "checkpoints" / "3"
    (step / "params" / "manifest.ocdbt").unlink()
    with pytest.raises(UserError, match=r"3 is not whole: params/manifest.ocdbt has"):
        checkpoint.load_model(step, tiny.mesh_of())
    with pytest.raises(UserError, match=r"no checkpoint in .*; 3 is not whole: params"):
        checkpoint.load_model(folder, tiny.mesh_of())


@pytest.mark.parametrize("known", ["ours", "first", "", "ours; ours", "other"])
def test_the_words_that_a_checkpoint_knows(tmp_path, known):
    path = tmp_path / "tokenizer.json"
    path.write_text(from_sentencepiece(train(["look at the ball"], 100)))
    ours = Tokenizer.load(path)
    marks = {"ours": ours.fingerprint, "first": ours.first_fingerprint}
    info = {
        "config": {"data": {"tokenizer": "gone/tokenizer.json"}},
        "workdir": str(tmp_path / "run"),
        "tokenizer": "; ".join(marks.get(name, name) for name in known.split("; ")),
    }
    if known == "other":
        with pytest.raises(UserError, match=r"is another tokenizer .* \(other\)"):
            checkpoint.load_tokenizer(info, str(path))
        return
    for moved in ("", str(path)):
        found = checkpoint.load_tokenizer(info, moved)
        assert (found.tokenizer.fingerprint, found.path) == (ours.fingerprint, path)


def test_facts_that_are_damaged_or_missing(saved, tmp_path):
    assert checkpoint.read_facts(saved, 3) == FACTS
    assert checkpoint.read_facts(tmp_path, 3) == {}
    path = tmp_path / "checkpoints" / "3" / "data" / "metadata"
    path.parent.mkdir(parents=True)
    for text in ("[]", "{", "\0"):
        path.write_text(text)
        with pytest.raises(UserError, match="metadata is damaged"):
            checkpoint.read_facts(tmp_path, 3)


def test_a_bucket_is_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(reading.absolute(epath.Path("gs://b/run/x"))) == "gs://b/run/x"
    assert reading.absolute(epath.Path("run")) == epath.Path(tmp_path / "run")
