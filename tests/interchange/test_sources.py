"""What is recognised, and that what is bad is refused with nothing written."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from babyvlm_jax.interchange.decoders import decoder_config
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.interchange.fill import check, fill, our_shapes
from babyvlm_jax.interchange.importing import ImportConfig, import_source
from babyvlm_jax.interchange.sources import find
from babyvlm_jax.models.interop import llava
from babyvlm_jax.models.interop.encoders import NAMES
from babyvlm_jax.models.interop.table import to_theirs
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import settings
from tests.chosen import some
from tests.interchange.workdirs import (
    MODELS,
    flatten,
    make_params,
    make_tokenizer,
    make_workdir,
    read_flat,
    read_params,
)

ENCODERS = [("official", name, "") for name in NAMES if name != "dino"]
ENCODERS += [("layer_scale", "dinov2", ""), ("layer_scale", "timm", "model.")]
ENCODERS += [("v1", "torchvision", ""), ("official", "timm", "module.backbone.")]
ENCODERS += [("registers", "dino", "module.backbone.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in the original naming, not written by an export of ours."""
    made = tmp_path_factory.mktemp("original")
    workdir = make_workdir(made, "official")
    export(ExportConfig(str(workdir), str(made / "llava"), "llava"))
    config = json.loads((made / "llava" / "config.json").read_text())
    del config["babyvlm"]
    (made / "llava" / "config.json").write_text(json.dumps(config))
    return made / "llava"


def copy(folder, tmp_path, change_config=None, change_weights=None):
    """A copy of the folder with something changed."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "tokenizer.model").write_bytes(make_tokenizer())
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    (change_config or (lambda _: None))(config)
    (change_weights or (lambda _: None))(weights)
    (there / "config.json").write_text(json.dumps(config))
    save_file(weights, there / "model.safetensors")
    return there


def test_the_original_naming_is_recognised(folder, tmp_path):
    import_source(ImportConfig(str(folder), str(tmp_path / "out"), template=""))
    config = settings.read_config(tmp_path / "out")
    assert config["imported"]["kind"] == "LLaVA naming, torchvision vit + llama"
    assert config["data"]["template"] == "baby_v1_verbatim"
    assert settings.model_of(config).decoder.num_kv_heads == 2
    found, expected = read_params(tmp_path / "out"), make_params("official")
    for path, leaf in expected.items():
        if path not in ("decoder/embed", "decoder/head"):
            assert np.array_equal(found[path], leaf), path
    assert np.array_equal(found["decoder/embed"][:100], expected["decoder/embed"][:100])


@pytest.mark.parametrize(
    ("name", "library", "prefix"), some(ENCODERS, (ENCODERS[0], *ENCODERS[-2:]))
)
def test_encoders_of_every_library(tmp_path, name, library, prefix):
    config, params = MODELS[name].vision, make_params(name)
    table = llava.vision(config, library)
    leaves = dict(to_theirs(table, lambda path: params[f"vision/{path}"]))
    leaves = {prefix + key: np.ascontiguousarray(leaf) for key, leaf in leaves.items()}
    head = "module.head.mlp.0.weight"
    if prefix == "module.backbone.":  # as DINO saves its teacher
        leaves[head] = np.zeros((2, 2), np.float32)
    save_file(leaves, tmp_path / "eyes.safetensors")
    source = find(tmp_path / "eyes.safetensors", "float32")
    shapes = our_shapes(make_model(source.model), source.parts)
    unused = check("eyes", source.tables, shapes, source.leaves)
    assert unused == [name for name in leaves if name == head]
    if config.family == "vit":
        found = source.model.vision
        assert (found.patch_size, found.image_size, found.num_layers) == (4, 8, 1)
        assert found.num_registers == config.num_registers
    tree = flatten(fill(source.tables, shapes, source.leaves, tmp_path))
    flat = {k: v for k, v in params.items() if k.startswith("vision/")}
    assert tree.keys() == flat.keys()
    assert all(np.array_equal(tree[path], leaf) for path, leaf in flat.items())


def test_registers_of_timm_are_refused(tmp_path):
    params = make_params("layer_scale")
    table = llava.vision(MODELS["layer_scale"].vision, "timm")
    leaves = dict(to_theirs(table, lambda path: params[f"vision/{path}"]))
    leaves = {key: np.ascontiguousarray(leaf) for key, leaf in leaves.items()}
    leaves["reg_token"] = np.zeros((1, 4, 16), np.float32)
    save_file(leaves, tmp_path / "eyes.safetensors")
    with pytest.raises(UserError, match="has 'reg_token': timm's register tokens"):
        find(tmp_path / "eyes.safetensors", "float32")


def test_a_projector_alone(tmp_path):
    params = make_params("official")
    table = llava.connector(MODELS["official"].connector, "mm.0", "mm.2")
    leaves = dict(to_theirs(table, lambda path: params[f"connector/{path}"]))
    leaves = {
        key.replace("mm.", "model.mm_projector."): np.ascontiguousarray(leaf)
        for key, leaf in leaves.items()
    }
    save_file(leaves, tmp_path / "x.safetensors")
    config = ImportConfig(str(tmp_path / "x.safetensors"), str(tmp_path / "out"))
    assert "a projector, 4 weights" in import_source(config)
    found = read_flat(tmp_path / "out")
    assert sorted(found) == [f"connector/{k}/{v}" for k in ("down", "up") for v in "bw"]
    assert all(np.array_equal(found[path], params[path]) for path in found)


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("config", "weights", "message"),
    [
        (None, lambda w: w.pop(NORM), f"lacks 1 of .* the first '{NORM}'"),
        (
            None,
            lambda w: w.update({NORM: np.zeros(3, np.float32)}),
            rf"'{NORM}' has shape \[3\], expected \[32\]",
        ),
        (
            None,
            lambda w: w.update({NORM: np.zeros(32, np.int32)}),
            f"'{NORM}' has the type I32",
        ),
        (None, lambda w: w.update(extra=np.zeros(1)), "1 weights .* first 'extra'"),
        (
            lambda c: c.update(num_hidden_layers=3),
            None,
            r"lacks 9 of .* 'model\.layers\.2",
        ),
        (lambda c: c.update(hidden_act="gelu"), None, "hidden_act is not known"),
        (lambda c: c.pop("hidden_size"), None, "it has no 'hidden_size'"),
        (lambda c: c.update(vocab_size=90), None, r"has shape \[100, 32\]"),
        (
            lambda c: c.update(model_type="qwen3_vl", architectures=["Qwen3VL"]),
            lambda w: [w.pop(k) for k in list(w) if "mm_projector" in k],
            r"the architecture \['Qwen3VL'\] .* is not known here",
        ),
    ],
)
def test_what_does_not_fit_is_refused(folder, tmp_path, config, weights, message):
    there = copy(folder, tmp_path, config, weights)
    with pytest.raises(UserError, match=message):
        import_source(ImportConfig(str(there), str(tmp_path / "out")))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_tokenizers_that_do_not_fit_are_refused(folder, tmp_path):
    small = copy(
        folder,
        tmp_path,
        lambda c: c.update(vocab_size=80),
        lambda w: w.update(
            {k: v[:80] for k, v in w.items() if "embed_tokens" in k or "lm_head" in k}
        ),
    )
    out = str(tmp_path / "out")
    with pytest.raises(UserError, match=r"has \d+ ids, but .* has 80"):
        import_source(ImportConfig(str(small), out))
    (small / "tokenizer.model").unlink()
    with pytest.raises(UserError, match=r"no tokenizer\.model or tokenizer\.json"):
        import_source(ImportConfig(str(small), out))
    with pytest.raises(UserError, match="no template 'x'"):
        import_source(ImportConfig(str(folder), out, template="x"))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_decoders_in_transformers_words():
    llama = {
        "vocab_size": 10,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "max_position_embeddings": 16,
        "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"},
    }
    made = decoder_config("x", llama, "float32")
    assert (made.num_kv_heads, made.rope_theta, made.tied) == (2, 5e5, False)
    scaled = {**llama, "rope_scaling": {"rope_type": "yarn"}, "rope_parameters": None}
    with pytest.raises(UserError, match="rope_scaling is not known"):
        decoder_config("x", scaled, "float32")
    gpt2 = {"vocab_size": 10, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    made = decoder_config("x", gpt2, "float32")
    assert (made.mlp_dim, made.tied, made.positions) == (32, True, "learned")
