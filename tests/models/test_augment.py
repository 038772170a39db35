"""Views of multi-crop: shapes, range, what the key decides, what can be turned off."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.models.augment import multi_crop, random_crop
from babyvlm_jax.models.config import AugmentConfig

CFG = AugmentConfig(global_size=8, local_size=4, num_local=2)
PLAIN = dataclasses.replace(
    CFG,
    num_local=0,
    global_scale=(1.0, 1.0),
    flip=0.0,
    jitter_prob=0.0,
    gray_prob=0.0,
    blur_probs=(0.0, 0.0, 0.0),
    solarize_prob=0.0,
)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 10, 10, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def views():
    crop = jax.jit(lambda key: multi_crop(key, IMAGES, CFG))
    return lambda seed: crop(jax.random.key(seed))


@pytest.mark.integration
def test_views_have_their_shapes_and_lie_in_0_to_1(views):
    big, small = views(0)
    assert big.shape == (2, 3, 8, 8, 3)
    assert small.shape == (2, 3, 4, 4, 3)
    for view in (big, small):
        assert 0.0 <= float(view.min()) < float(view.max()) <= 1.0


@pytest.mark.integration
def test_the_key_decides_everything(views):
    same, other = views(0), views(1)
    jax.tree.map(np.testing.assert_array_equal, views(0), same)
    assert float(jnp.abs(same[0] - other[0]).mean()) > 0.01


@pytest.mark.integration
def test_each_view_of_each_image_is_drawn_for_itself(views):
    big, small = views(0)
    assert float(jnp.abs(big[0] - big[1]).mean()) > 0.01
    assert float(jnp.abs(small[0] - small[1]).mean()) > 0.01


def test_without_local_views_there_is_an_empty_stack():
    _, small = jax.eval_shape(
        lambda key: multi_crop(key, IMAGES, PLAIN), jax.random.key(0)
    )
    assert small.shape == (0, 3, 4, 4, 3)


@pytest.mark.integration
def test_a_white_picture_stays_white_when_all_is_turned_off():
    white = np.full((1, 8, 8, 3), 255, np.uint8)
    crop = jax.jit(lambda key: multi_crop(key, white, PLAIN))
    big, _ = crop(jax.random.key(0))
    np.testing.assert_allclose(big, 1.0, atol=1e-5)


def test_mirroring_alone_turns_left_to_right():
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, 8)[None, :, None], (8, 8, 3))
    crop = jax.jit(random_crop, static_argnums=(2, 3))
    key = jax.random.key(0)
    plain = crop(key, ramp, 8, (1.0, 1.0), 0.0)
    mirrored = crop(key, ramp, 8, (1.0, 1.0), 1.0)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    assert float(plain[0, -1, 0]) > float(plain[0, 0, 0])
