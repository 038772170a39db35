"""CLIP folders: imported leaf by leaf, and the same embeddings as torch's."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from babyvlm_jax.embedding import load_pair_model
from babyvlm_jax.interchange import hf_config
from babyvlm_jax.interchange.clip import clip_configs
from babyvlm_jax.interchange.fill import our_shapes
from babyvlm_jax.interchange.importing import ImportConfig, import_source
from babyvlm_jax.models.config import PAIR_PARTS, GPT2Config, ViTConfig, VLMConfig
from babyvlm_jax.models.contrastive import make_pair_model
from babyvlm_jax.models.interop.clip import clip
from babyvlm_jax.models.interop.table import their_shapes, to_ours, to_theirs
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint
from tests import tiny
from tests.models.parity import clip_cases
from tests.models.parity.clip_cases import TINY, tokenizer_json

CLOSE = 1e-4  # f32 in another order of sums


@pytest.fixture(scope="module")
def golden():
    """(torch-named weights, inputs and torch's outputs)."""
    with np.load(clip_cases.FILE) as stored:
        arrays = dict(stored)
    batch = clip_cases.inputs(TINY)
    for key, value in batch.items():
        np.testing.assert_array_equal(arrays[key], value)
    weights = {
        key.removeprefix("weights/"): value
        for key, value in arrays.items()
        if key.startswith("weights/")
    }
    return weights, arrays


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    """The tiny CLIP as transformers would have saved it."""
    path = tmp_path_factory.mktemp("hf") / "clip"
    clip_cases.write_folder(path, TINY, golden[0], tokenizer_json(clip_cases.EOS + 1))
    return path


@pytest.fixture(scope="module")
def imported(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("ours") / "clip"
    told = import_source(ImportConfig(str(folder), str(out)))
    assert told == f"{out}: CLIPModel, 78 weights"
    return out


def embed(workdir, batch):
    """Both embeddings and the logits of a work directory's model."""
    mesh = tiny.mesh_of(data=2)
    with jax.set_mesh(mesh):
        model, params, _ = checkpoint.load_pair_model(workdir, mesh)
        x = jax.jit(model.embed_images)(params, batch["images"])
        texts = batch["tokens"], batch["text_mask"]
        y = jax.jit(model.embed_texts)(params, *texts)
        scale, _ = model.scales(params)
        return np.asarray(x), np.asarray(y), np.asarray(scale * x @ y.T)


def compare(found, expected):
    for ours, name in zip(found, ("x", "y", "logits"), strict=True):
        np.testing.assert_allclose(ours, expected[name], atol=CLOSE, err_msg=name)


@pytest.mark.integration
def test_an_imported_clip_gives_torch_s_embeddings(imported, golden):
    compare(embed(imported, golden[1]), golden[1])


@pytest.mark.integration
def test_pictures_and_words_through_the_tokenizer(imported, golden):
    model = load_pair_model(imported, batch_size=8)
    ids = golden[1]["tokens"]
    texts = [
        " ".join(f"W{i}" for i in row[1:] if i < clip_cases.EOS - 1) for row in ids
    ]
    np.testing.assert_allclose(
        model.image_embeddings(golden[1]["images"]), golden[1]["x"], atol=CLOSE
    )
    np.testing.assert_allclose(model.text_embeddings(texts), golden[1]["y"], atol=CLOSE)


def test_each_leaf_comes_once_and_turns_back(golden):
    vision, pair = clip_configs("", TINY, "float32")
    tables = clip(vision, pair.text)
    ours = {
        path: leaf
        for table in tables
        for path, leaf in to_ours(table, golden[0].__getitem__)
    }
    again = {
        name: leaf
        for table in tables
        for name, leaf in to_theirs(table, ours.__getitem__)
    }
    assert again.keys() == golden[0].keys()
    for name, leaf in again.items():
        np.testing.assert_array_equal(leaf, golden[0][name], name)
    shapes = our_shapes(make_pair_model(vision, pair), PAIR_PARTS)
    assert shapes == {path: leaf.shape for path, leaf in ours.items()}


@pytest.mark.integration
def test_names_and_shapes_of_the_published_models():
    """The names as the published files have them, some of each kind."""
    for name, layers in (("b32", 12), ("l14", 24)):
        config = clip_cases.published(name)
        for tower, count in (("text_config", 12), ("vision_config", layers)):
            config[tower] = {**config[tower], "num_hidden_layers": count}
        vision, pair = clip_configs("", config, "float32")
        shapes = our_shapes(make_pair_model(vision, pair), PAIR_PARTS)
        theirs = {}
        for table in clip(vision, pair.text):
            theirs |= their_shapes(table, shapes)
        assert len(theirs) == 16 * (12 + layers) + 14
        last = f"vision_model.encoder.layers.{layers - 1}.mlp.fc1.weight"
        assert theirs[last] == (vision.mlp_dim, vision.width)
        assert theirs["logit_scale"] == ()
        assert theirs["text_model.embeddings.token_embedding.weight"][0] == 49408
        assert theirs["vision_model.embeddings.class_embedding"] == (vision.width,)


def changed(folder, tmp_path, golden, config=None, weights=None, tokenizer=None):
    there = tmp_path / "there"
    words = tokenizer or (folder / "tokenizer.json").read_text()
    kept = {k: v for k, v in (golden[0] | (weights or {})).items() if v is not None}
    clip_cases.write_folder(there, config or TINY, kept, words)
    return there


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"weights": {"logit_scale": None}}, "lacks 1 of 78 weights.*'logit_scale'"),
        (
            {"weights": {"visual_projection.weight": np.zeros((3, 32), np.float32)}},
            r"'visual_projection.weight' has shape \[3, 32\], expected \[20, 32\]",
        ),
        (
            {"weights": {"vision_model.head.weight": np.zeros(3, np.float32)}},
            "holds 1 weights that have no place.*'vision_model.head.weight'",
        ),
        (
            {"tokenizer": tokenizer_json(90)},
            "has 90 ids, but the model's embedding has 70",
        ),
        (
            {
                "config": {
                    **TINY,
                    "vision_config": {**TINY["vision_config"], "hidden_act": "relu"},
                }
            },
            "vision_config.hidden_act 'relu' is not known here",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(folder, tmp_path, golden, change, told):
    there = changed(folder, tmp_path, golden, **change)
    out = tmp_path / "out"
    with pytest.raises(UserError, match=told):
        import_source(ImportConfig(str(there), str(out)))
    assert not out.exists()


def test_older_files_with_counters_are_taken(folder, tmp_path, golden):
    counters = {"text_model.embeddings.position_ids": np.arange(12)[None]}
    counters |= {"vision_model.embeddings.position_ids": np.arange(17)[None]}
    there = changed(folder, tmp_path, golden)
    save_file(golden[0] | counters, there / "model.safetensors")
    told = import_source(ImportConfig(str(there), str(tmp_path / "out")))
    assert "left out: text_model.embeddings.position_ids" in told


def test_both_sections_of_older_configs_count():
    config = {**TINY, "vision_config_dict": {"patch_size": 8}, "text_config_dict": None}
    vision, pair = clip_configs("", config, "float32")
    assert (vision.patch_size, vision.image_size) == (8, 16)
    assert pair.text.max_len == 12


def test_a_decoder_is_asked_for_where_there_is_none(imported):
    with pytest.raises(UserError, match="holds a contrastive model"):
        checkpoint.load_model(imported, tiny.mesh_of())
    config = json.loads((imported / "config.json").read_text())
    assert config["imported"]["kind"] == "CLIPModel"


@pytest.mark.parametrize(
    "model",
    [
        VLMConfig(vision=ViTConfig(pre_norm=True)),
        VLMConfig(vision=ViTConfig(pixels="clip")),
        VLMConfig(decoder=GPT2Config(activation="quick_gelu")),
    ],
)
def test_what_other_code_would_compute_otherwise_is_not_exported(model):
    assert not hf_config.is_stock(model)
    with pytest.raises(UserError, match="use --format=safetensors"):
        hf_config.check_known(model)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["tiny", "b32", "b16-gelu", "l14"])
def test_torch_s_clip_saved_and_imported(name, tmp_path):
    pytest.importorskip("transformers")
    from tests.models.parity import clip_torch

    config = TINY if name == "tiny" else clip_cases.published(name)
    model = clip_torch.make(config)
    there = tmp_path / "there"
    model.save_pretrained(there)
    vocab_size = model.config.text_config.vocab_size
    (there / "tokenizer.json").write_text(tokenizer_json(vocab_size))
    import_source(ImportConfig(str(there), str(tmp_path / "out")))
    batch = clip_cases.inputs(config)
    found, expected = embed(tmp_path / "out", batch), clip_torch.run(model, batch)
    compare((*found[:2], expected["logits"]), expected)
    # logits are cosines times the scale, some 25
    np.testing.assert_allclose(found[2], expected["logits"], atol=25 * CLOSE)
