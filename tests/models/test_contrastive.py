"""Towers of contrastive models: what they read, and that they learn."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

from babyvlm_jax import sharding
from babyvlm_jax.models.augment import single_crop
from babyvlm_jax.models.config import (
    AugmentConfig,
    ContrastiveConfig,
    ViTConfig,
    WordsConfig,
)
from babyvlm_jax.models.contrastive import make_pair_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.training.objectives.contrastive import make_pair_loss
from configs.models import CLIP
from tests import tiny, tiny_pairs
from tests.chosen import some
from tests.models.param_counts import pair_params


def texts_of(form, tokens, mask):
    with jax.set_mesh(tiny.mesh_of()):
        model, params = tiny_pairs.bench(form)
        return np.asarray(jax.jit(model.embed_texts)(params, tokens, mask))


@pytest.mark.parametrize("form", some(["cvcl", "clip"], ("cvcl",)))
def test_embeddings_have_length_one_and_padding_changes_none(form):
    batch = tiny_pairs.batch(4)
    tokens, mask = batch["tokens"], batch["text_mask"]
    short = texts_of(form, tokens, mask)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-6)
    longer = ((0, 0), (0, 3))
    noise = np.pad(tokens, longer, constant_values=7)
    padded = texts_of(form, noise, np.pad(mask, longer))
    np.testing.assert_allclose(padded, short, atol=1e-6)


def test_words_have_no_order_and_count_as_often_as_they_come():
    tokens = np.array([[2, 9, 5, 3], [2, 5, 9, 3], [2, 5, 5, 3]], np.int32)
    found = texts_of("cvcl", tokens, np.ones(tokens.shape, bool))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    with jax.set_mesh(tiny.mesh_of()):
        _, params = tiny_pairs.bench("cvcl")
    table = np.asarray(params["text"]["embed"])
    mean = (table[2] + 2 * table[5] + table[3]) / 4
    np.testing.assert_allclose(found[2], mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.integration
@pytest.mark.parametrize("form", ["llama", "clip"])
def test_a_transformer_reads_the_order(form):
    tokens = np.array([[2, 9, 5, 3], [2, 5, 9, 3]], np.int32)
    found = texts_of(form, tokens, np.ones(tokens.shape, bool))
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.integration
def test_pictures_are_pooled_as_the_config_says():
    images = tiny_pairs.batch(3)["images"]
    with jax.set_mesh(tiny.mesh_of()):
        model, params = tiny_pairs.bench("clip")
        whole = dataclasses.replace(model.config, pool="mean")
        other = make_pair_model(model.vision, whole)
        both = (jax.jit(one.embed_images) for one in (model, other))
        cls, mean = (embed(params, images) for embed in both)
    assert np.abs(np.asarray(mean - cls)).max() > 1e-3


def test_the_scale_is_the_temperature_s_and_has_a_limit():
    with jax.set_mesh(tiny.mesh_of()):
        model, params = tiny_pairs.bench("cvcl")
        assert float(model.scales(params)[0]) == pytest.approx(1 / 0.07)
        params["head"]["log_scale"] += 10.0
        assert float(model.scales(params)[0]) == pytest.approx(100)
        model, params = tiny_pairs.bench("llama")
        assert float(model.scales(params)[1]) == -10


@pytest.mark.slow
@pytest.mark.parametrize("form", tiny_pairs.FORMS)
def test_a_few_steps_on_one_batch_lower_its_loss(form):
    batch = tiny_pairs.batch(8)
    with jax.set_mesh(tiny.mesh_of()):
        model, params = tiny_pairs.bench(form)
        loss = make_pair_loss(model, augmented=False)
        tx = optax.adam(1e-2)
        opt = tx.init(params)

        @jax.jit
        def step(params, opt):
            def mean(params):
                total, (sums, _) = loss(params, {}, batch, jax.random.key(0))
                return total / sums["count"]

            value, grads = jax.value_and_grad(mean)(params)
            updates, opt = tx.update(grads, opt)
            return optax.apply_updates(params, updates), opt, value

        values = []
        for _ in range(12):
            params, opt, value = step(params, opt)
            values.append(float(value))
    assert values[-1] < 0.7 * values[0]


@pytest.mark.integration
@pytest.mark.parametrize("form", tiny_pairs.FORMS)
def test_every_parameter_has_a_place_on_a_mesh(form):
    with jax.set_mesh(tiny.mesh_of(fsdp=2, tensor=2)):
        model = make_pair_model(*tiny_pairs.FORMS[form])
        shapes = flatten_dict(jax.eval_shape(model.init, jax.random.key(0)), sep="/")
    specs = flatten_dict(model.param_specs(), sep="/")
    assert {k: len(v.shape) for k, v in shapes.items()} == {
        k: len(v) for k, v in specs.items()
    }


@pytest.mark.slow
def test_a_mesh_changes_no_loss():
    batch = tiny_pairs.batch(16, num_valid=13)
    found = []
    for mesh in (tiny.mesh_of(), tiny.mesh_of(data=2, fsdp=2, tensor=2)):
        with jax.set_mesh(mesh):
            model, params = tiny_pairs.bench("clip")
            places = sharding.tree_shardings(mesh, model.param_specs())
            params = jax.device_put(jax.device_get(params), places)
            loss = jax.jit(make_pair_loss(model, augmented=False))
            placed = sharding.put_batch(mesh, batch)
            total, (sums, _) = loss(params, {}, placed, None)
            found.append((float(total), float(sums["count"])))
    assert found[0][1] == found[1][1] == 13
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)


@pytest.mark.integration
def test_crops_are_random_and_of_the_picture_s_size():
    images = tiny_pairs.batch(3)["images"]
    cfg = AugmentConfig(jitter_prob=0.0, gray_prob=0.0, blur_probs=(0.5, 0, 0))
    crop = jax.jit(lambda key: single_crop(key, images, cfg))
    one, two = crop(jax.random.key(0)), crop(jax.random.key(1))
    assert one.shape == images.shape
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert np.abs(np.asarray(one - two)).max() > 0.05


# published sizes of OpenAI's models, the learned scale included
@pytest.mark.parametrize(
    ("name", "expected"),
    some(
        [
            ("clip-b32", 151_277_313),
            ("clip-b16", 149_620_737),
            ("clip-l14", 427_616_513),
        ],
        [("clip-b32", 151_277_313)],
    ),
)
def test_clip_has_its_published_size(name, expected):
    vision = from_dict(ViTConfig, CLIP[name]["vision"])
    cfg = from_dict(ContrastiveConfig, CLIP[name]["contrastive"])
    with jax.set_mesh(tiny.mesh_of()):
        shapes = jax.eval_shape(make_pair_model(vision, cfg).init, jax.random.key(0))
    counts = pair_params(vision, cfg)
    assert {part: tiny.count(tree) for part, tree in shapes.items()} == counts
    assert sum(counts.values()) == expected


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"embed_dim": 32}, "the mean of words is not projected"),
        ({"temperature": 0.001}, "expected at least"),
        ({"text": dataclasses.replace(tiny.GPT2, tied=False)}, "text.tied is False"),
    ],
)
def test_settings_that_make_no_sense(wrong, told):
    text = WordsConfig(width=tiny_pairs.EMBED)
    with pytest.raises(UserError, match=told):
        ContrastiveConfig(**{"embed_dim": tiny_pairs.EMBED, "text": text} | wrong)
