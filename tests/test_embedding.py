"""Embeddings of pictures and texts: batches, devices and sizes change nothing."""

import json

import jax
import numpy as np
import pytest

from babyvlm_jax.data.tokenizer import train
from babyvlm_jax.embedding import load_pair_model
from babyvlm_jax.models.contrastive import make_pair_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint
from tests import tiny, tiny_pairs

TEXTS = ["red ball", "ball red", "look at the red ball now", "look", ""]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A transformer's checkpoint as a run leaves it, without training."""
    folder = tmp_path_factory.mktemp("pair")
    vision, cfg = tiny_pairs.FORMS["transformer"]
    with jax.set_mesh(tiny.mesh_of()):
        params = jax.jit(make_pair_model(vision, cfg).init)(jax.random.key(3))
    params["text"]["embed"] *= 50.0
    checkpoint.save_params(folder, 7, jax.device_get(params))
    words = (" ".join(TEXTS[2].split()[i:]) for i in range(5))
    (folder / "tokenizer.model").write_bytes(train(words, tiny.VOCAB, ()))
    config = {
        "loss": "contrastive",
        "seed": 0,
        "model": {"vision": vars(vision)},
        "contrastive": {"embed_dim": 16, "text": vars(cfg.text)},
        "data": {"tokenizer": str(folder / "tokenizer.model"), "seq_len": 12},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def model(workdir):
    """On all devices, eight at a time."""
    return load_pair_model(workdir, batch_size=8)


def pictures(count, side=8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, side, side, 3)).astype(np.uint8)


@pytest.mark.integration
def test_the_size_of_a_batch_and_devices_change_nothing(workdir, model):
    alone = load_pair_model(workdir, tiny.mesh_of(), batch_size=1)
    images = pictures(11)
    x, y = alone.image_embeddings(images), alone.text_embeddings(TEXTS)
    for one, many in (
        (x, model.image_embeddings(images)),
        (y, model.text_embeddings(TEXTS)),
    ):
        assert one.dtype == many.dtype == np.float32
        assert one.shape == many.shape == (len(one), 16)
        np.testing.assert_allclose(many, one, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-6)
    found = model.cosines(images, [*TEXTS, *TEXTS, TEXTS[0]])
    expected = np.sum(x * np.concatenate([y, y, y[:1]]), axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_nothing_gives_nothing(model):
    assert model.image_embeddings(pictures(0)).shape == (0, 16)
    assert model.text_embeddings([]).shape == (0, 16)
    assert model.cosines(pictures(0), []).shape == (0,)


def test_the_order_of_words_and_nothing_else_about_blanks(model):
    one, other, spaced = model.text_embeddings(["red ball", "ball red", " red   ball "])
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(one, spaced)


def test_larger_pictures_are_resized(model):
    small = pictures(3)
    large = small.repeat(4, axis=1).repeat(4, axis=2)
    near, far = model.image_embeddings(large), model.image_embeddings(pictures(6)[3:])
    x = model.image_embeddings(small)
    assert (np.sum(x * near, axis=1) > np.sum(x * far, axis=1)).all()


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(model, wrong):
    with pytest.raises(ValueError, match=r"expected\s+uint8\[N, S, S, 3\]"):
        model.image_embeddings(wrong)


def test_a_checkpoint_of_a_decoder_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"loss": "tokens"}')
    with pytest.raises(UserError, match="holds no contrastive model"):
        load_pair_model(tmp_path)
