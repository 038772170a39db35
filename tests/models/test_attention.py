"""Masks, value by value, and rotary positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.models import attention
from babyvlm_jax.models.attention import (
    continued_mask,
    masked_attention,
    packed_attention,
    packed_mask,
    rope,
)


def attend(*args, **kwargs):
    """Compiled as one program; each operation by itself would be one more."""
    return np.asarray(jax.jit(attention.attend)(*args, **kwargs))


def test_packed_mask():
    assert packed_mask(jnp.array([[1, 1, 2, 2, 0]]))[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_attention_is_the_mean_of_values_when_queries_are_nothing():
    values = np.array([[[[1.0]], [[3.0]], [[8.0]]]], np.float32)
    zeros = np.zeros((1, 3, 1, 1), np.float32)
    mask = np.asarray(packed_mask(np.array([[1, 1, 2]])))
    out = np.asarray(jax.jit(masked_attention)(zeros, zeros, values, mask))
    assert out[0, :, 0, 0].tolist() == [1.0, 2.0, 8.0]
    assert attend(zeros, zeros, values)[0, :, 0, 0].tolist() == [4.0] * 3


def test_attention_weights_by_softmax_of_scaled_products():
    query = np.array([[[[2.0, 0.0, 0.0, 0.0]]]], np.float32)
    keys = np.array([[[[np.log(3.0), 0, 0, 0]], [[0.0, 5, 5, 5]]]], np.float32)
    values = np.array([[[[1.0, 0, 0, 0]], [[5.0, 0, 0, 0]]]], np.float32)
    # q.k / sqrt(4) = log 3 and 0: weights 3/4 and 1/4
    out = attend(query, keys, values)
    np.testing.assert_allclose(out[0, 0, 0], [2.0, 0, 0, 0], rtol=1e-6)


def test_query_heads_share_their_group_s_keys():
    rng = np.random.default_rng(0)
    query = rng.normal(size=(1, 3, 4, 8)).astype(np.float32)
    keys, values = rng.normal(size=(2, 1, 3, 2, 8)).astype(np.float32)
    grouped = attend(query, keys, values)
    repeated = attend(query, np.repeat(keys, 2, axis=2), np.repeat(values, 2, axis=2))
    np.testing.assert_allclose(grouped, repeated, atol=1e-6)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("dtype", "error"),
    [
        (jnp.float32, 1e-6),
        (jnp.bfloat16, 2e-2),
    ],
)
def test_long_rows_in_parts_are_the_row_at_once(monkeypatch, dtype, error):
    shape, segments = (2, 70, 4, 8), np.ones((2, 70), np.int32)
    segments[:, 30:], segments[0, 33:], segments[1, 60:] = 2, 3, 0
    q, k, v = np.random.default_rng(0).normal(size=(3, *shape)).astype(dtype)
    real = (segments > 0)[:, :, None, None]

    def total(q, k, v):
        out = packed_attention(q, k[:, :, :2], v[:, :, :2], segments)
        return jnp.where(real, out.astype(jnp.float32), 0)

    def of(q, k, v):
        def loss(*x):
            out = total(*x)
            return jnp.sum(out**2), out

        step = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
        (_, out), grads = step(q, k, v)
        return [np.asarray(x, np.float32) for x in (out, *grads)]

    whole = of(q, k, v)
    monkeypatch.setattr(attention, "SHORT", 20)
    monkeypatch.setattr(attention, "CHUNK", 16)
    for parts, once in zip(of(q, k, v), whole, strict=True):
        np.testing.assert_allclose(parts, once, atol=error * np.abs(once).max())


def rotated(vector, position, theta=100.0, rotary_dim=4):
    x = np.array(vector, np.float32)[None, None, None]
    turn = jax.jit(rope, static_argnums=(2, 3))
    return np.asarray(turn(x, np.array([[position]]), theta, rotary_dim))[0, 0, 0]


def test_rope_turns_pairs_half_a_head_apart():
    # 4 dims, theta 100: pair 0 (dims 0 and 2) by p, pair 1 (dims 1 and 3) by p / 10
    turned = rotated([1.0, 0.0, 0.0, 2.0], 3)
    expected = [np.cos(3), -2 * np.sin(0.3), np.sin(3), 2 * np.cos(0.3)]
    np.testing.assert_allclose(turned, expected, atol=1e-6)


def test_rope_leaves_position_0_and_the_dims_beyond_alone():
    np.testing.assert_allclose(rotated([1.0, 2.0, 3.0, 4.0], 0), [1, 2, 3, 4])
    turned = rotated([1.0, 0.0, 7.0, 8.0], 1, rotary_dim=2)
    np.testing.assert_allclose(turned, [np.cos(1), np.sin(1), 7, 8], atol=1e-6)


def test_rope_s_products_depend_on_the_distance_alone():
    query, key = np.random.default_rng(0).normal(size=(2, 8))

    def product(at, seen):
        turned = [rotated(x, p, 1e4, 8) for x, p in ((query, at), (key, seen))]
        return turned[0] @ turned[1]

    np.testing.assert_allclose(product(5, 2), product(103, 100), atol=1e-4)
    assert abs(product(5, 2) - product(5, 3)) > 1e-2


def test_rope_keeps_the_dtype():
    x = jnp.ones((1, 1, 1, 4), jnp.bfloat16)
    turned = jax.eval_shape(lambda x: rope(x, jnp.array([[9]]), 1e4, 4), x)
    assert turned.dtype == jnp.bfloat16


def test_what_follows_a_cache_sees_it_and_its_own_segment():
    segment_ids = jnp.array([[1, 1, 2, 0], [1, 2, 0, 0]])
    made = jax.jit(continued_mask, static_argnames="num_slots")
    mask = np.asarray(made(segment_ids, jnp.array([2, 0]), num_slots=6))
    assert mask.astype(int).tolist() == [
        [
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 1, 0, 0],
            [1, 1, 0, 0, 1, 0],
            [0, 0, 0, 0, 0, 0],  # padding
        ],
        [
            [1, 0, 0, 0, 0, 0],
            [0, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
        ],
    ]


def test_with_a_cache_a_query_sees_its_first_entries_and_its_own():
    values = np.array([1.0, 3.0, 8.0, 99.0], np.float32).reshape(1, 4, 1, 1)
    zeros = np.zeros((1, 4, 1, 1), np.float32)
    for length, mean in ((0, 1.0), (1, 2.0), (2, 4.0)):
        out = attend(zeros[:, :1], zeros, values, lengths=np.array([length]))
        assert float(out[0, 0, 0, 0]) == mean
