"""Fused kernels against the reference, and which one is chosen where."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.models import attention_kernels
from babyvlm_jax.models.attention import attend
from babyvlm_jax.models.attention_kernels import choose_kernel
from babyvlm_jax.runtime.errors import UserError
from tests import tiny

ROWS, LENGTH, HEADS, KV_HEADS, HEAD_DIM = 4, 256, 4, 2, 16
KERNELS_HERE = ("xla", "splash")


def segments():
    """Records of unequal length, one of a single token, and padding at the end."""
    ends = np.array([[100, 101, 130, 250], [256] * 4, [3, 128, 129, 200], [0] * 4])
    places = np.arange(LENGTH)
    number = (places[None, :, None] >= ends[:, None]).sum(-1) + 1
    return np.where(places < ends[:, -1:], number, 0).astype(np.int32)


def projections(seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(ROWS, LENGTH, heads, HEAD_DIM) for heads in (HEADS, KV_HEADS, KV_HEADS)]
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)


@functools.lru_cache
def outputs_and_grads(kernel, sizes):
    """Jitted (q, k, v, segment ids, weights) -> outputs, gradients of a sum of them."""

    def weighed(q, k, v, ids, weights):
        out = attend(q, k, v, ids, kernel=kernel)
        return jnp.sum(out * weights), out

    def both(*args):
        grads, out = jax.grad(weighed, (0, 1, 2), has_aux=True)(*args)
        return out, grads

    return jax.jit(both)


def run(kernel, qkv, weights, sizes=(1, 1, 1)):
    with jax.set_mesh(tiny.mesh_of(*sizes)):
        out, grads = outputs_and_grads(kernel, sizes)(*qkv, segments(), weights)
    return np.asarray(out), [np.asarray(grad) for grad in grads]


def real():
    """f32[B, T, 1, 1] 1 where a token is not padding."""
    return (segments() > 0)[..., None, None].astype(np.float32)


@pytest.mark.integration
@pytest.mark.parametrize(
    "sizes",
    [
        (1, 1, 1),
        (2, 1, 2),
        pytest.param((1, 2, 2), marks=pytest.mark.slow),
    ],
)
def test_splash_equals_the_reference_forwards_and_backwards(sizes):
    weights = np.random.default_rng(1).normal(size=projections()[0].shape) * real()
    expected, expected_grads = run("xla", projections(), weights)
    out, grads = run("splash", projections(), weights, sizes)
    # f32 throughout; blocks add up the softmax in another order
    np.testing.assert_allclose(out * real(), expected * real(), atol=2e-5)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert np.abs(theirs).max() > 1
    assert np.isfinite(out).all()


@pytest.mark.parametrize("kernel", KERNELS_HERE)
def test_records_of_a_row_do_not_see_each_other(kernel):
    second = (segments() == 2)[..., None, None]
    weights = np.ones(projections()[0].shape) * second
    out, grads = run(kernel, projections(), weights)
    # the second record keeps its own, all others get new ones
    mixed = [
        np.where(second, ours, other)
        for ours, other in zip(projections(), projections(7), strict=True)
    ]
    out_after, grads_after = run(kernel, mixed, weights)
    np.testing.assert_array_equal(out * second, out_after * second)
    assert np.abs(out - out_after)[:, :3].max() > 0.1
    for before, after in zip(grads, grads_after, strict=True):
        np.testing.assert_array_equal(before, after)
        assert not np.any(before * ~second)


@pytest.mark.integration
def test_no_query_sees_what_comes_later():
    qkv = projections()
    later = [np.where(np.arange(LENGTH)[:, None, None] > 60, -x, x) for x in qkv]
    weights = np.ones(qkv[0].shape)
    before, _ = run("splash", qkv, weights)
    after, _ = run("splash", later, weights)
    np.testing.assert_array_equal(before[:, :61], after[:, :61])


@pytest.mark.parametrize(
    ("platform", "length", "head_dim", "dtype", "chosen"),
    [
        ("cpu", 8192, 64, "float32", "xla"),
        ("tpu", 8192, 64, "bfloat16", "splash"),
        ("tpu", 8192, 16, "float32", "splash"),
        ("tpu", 1100, 64, "bfloat16", "xla"),  # no whole tiles
        ("tpu", 288, 64, "bfloat16", "xla"),  # short
        ("gpu", 8192, 64, "bfloat16", "cudnn"),
        ("gpu", 8192, 64, "float32", "xla"),
        ("gpu", 8192, 256, "bfloat16", "xla"),
    ],
)
def test_the_choice(monkeypatch, platform, length, head_dim, dtype, chosen):
    monkeypatch.setattr(attention_kernels, "platform_of_mesh", lambda: platform)
    assert choose_kernel("auto", length, head_dim, dtype) == chosen
    assert choose_kernel("xla", length, head_dim, dtype) == "xla"


@pytest.mark.parametrize(
    ("platform", "name", "length", "dtype", "told"),
    [
        ("tpu", "splash", 1100, "bfloat16", "needs rows of a multiple of 128 tokens"),
        ("gpu", "splash", 1024, "bfloat16", "runs on tpu and cpu, not on gpu"),
        ("cpu", "cudnn", 1024, "bfloat16", "runs on gpu, not on cpu"),
        ("gpu", "cudnn", 1024, "float32", "needs model.decoder.dtype bfloat16"),
        ("gpu", "cudnn", 1023, "bfloat16", "an even number of tokens, not 1023"),
    ],
)
def test_a_kernel_that_cannot_is_refused(
    monkeypatch, platform, name, length, dtype, told
):
    monkeypatch.setattr(attention_kernels, "platform_of_mesh", lambda: platform)
    with pytest.raises(UserError) as error:
        choose_kernel(name, length, 64, dtype)
    assert f"config.model.decoder.attention {name!r} " in str(error.value)
    assert told in str(error.value)
    assert "set it to 'auto'" in str(error.value)
