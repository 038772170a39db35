"""Files of weights: every float kind, shards, and each way a file can be bad."""

import argparse
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from babyvlm_jax.interchange.weights import open_weights
from babyvlm_jax.runtime.errors import UserError


def test_floats_become_f32_and_the_rest_stays(tmp_path):
    path = tmp_path / "x.safetensors"
    value = np.array([[1.5, -2.0]])
    leaves = {
        "bf16": value.astype(ml_dtypes.bfloat16),
        "f16": value.astype(np.float16),
        "f64": value,
        "i64": np.array([3]),
    }
    save_file(leaves, path)
    found = open_weights(path)
    assert {name: leaf.dtype for name, leaf in found.items()} == {
        "bf16": "BF16",
        "f16": "F16",
        "f64": "F64",
        "i64": "I64",
    }
    for name in ("bf16", "f16", "f64"):
        array = found[name].read()
        assert array.dtype == np.float32 and found[name].shape == (1, 2)
        assert array.tolist() == [[1.5, -2.0]]
    assert found["i64"].read().dtype == np.int64


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "model.safetensors"
    save_file({"a": np.zeros(8, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors is not a whole"):
        open_weights(tmp_path)


def test_missing_shards_are_named(tmp_path):
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "m-00001-of-00002.safetensors")
    with pytest.raises(UserError, match="shard 2 of 2 is missing"):
        open_weights(tmp_path)
    shards = {"a": "m-00001-of-00002.safetensors", "b": "m-00002-of-00002.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(UserError, match=r"1 of 2 shards .* 'm-00002-of-00002"):
        open_weights(tmp_path)
    index.write_text(json.dumps({"weight_map": shards | {"b": shards["a"]}}))
    with pytest.raises(UserError, match="lacks 'b'"):
        open_weights(tmp_path)
    index.write_text("[]")
    with pytest.raises(UserError, match=r"holds \[\]"):
        open_weights(tmp_path)


def test_what_is_no_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither a file nor a folder"):
        open_weights(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no weights"):
        open_weights(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UserError, match=r"expected a \.safetensors file"):
        open_weights(tmp_path / "x.txt")


class Attack:
    """A pickle that would call something when read."""

    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.torch
def test_torch_files_are_read_without_running_them(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    weights = {"module.backbone.w": torch.tensor([1.5], dtype=torch.bfloat16)}
    path = tmp_path / "x.pth"
    for legacy in (False, True):
        torch.save(
            {"student": {}, "teacher": weights, "epoch": 3},
            path,
            _use_new_zipfile_serialization=not legacy,
        )
        found = open_weights(path)
        assert found.keys() == weights.keys()
        leaf = found["module.backbone.w"]
        assert (leaf.shape, leaf.dtype, leaf.read()) == ((1,), "BF16", [1.5])
    torch.save({"teacher": weights, "x": Attack()}, path)
    with pytest.raises(UserError, match=r"would run .*print.* refused"):
        open_weights(path)
    assert not capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="cannot read it"):
        open_weights(path)
    torch.save([1], path)
    with pytest.raises(UserError, match="holds a list"):
        open_weights(path)


@pytest.mark.torch
def test_the_arguments_in_a_checkpoint_of_dino_do_no_harm(tmp_path):
    torch = pytest.importorskip("torch")
    content = {"teacher": {"w": torch.ones(2)}, "args": argparse.Namespace(lr=1.0)}
    torch.save(content, tmp_path / "x.pth")
    assert open_weights(tmp_path / "x.pth")["w"].read().tolist() == [1.0, 1.0]
