"""Records of one row are strangers, with every attention that runs here.

What is compared is the whole model: another record's tokens and pixels must move
neither a record's logits nor the gradients of its loss.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.models.vlm import make_model
from tests import tiny

ROW = 128  # a splash kernel takes whole tiles
FORM = tiny.FORMS["official"]


@functools.lru_cache
def logits_and_grads(kernel):
    """Jitted (params, batch, mask of what counts) -> logits, gradients."""
    decoder = dataclasses.replace(FORM.decoder, attention=kernel)
    model = make_model(dataclasses.replace(FORM, decoder=decoder))

    def loss(params, batch, mask):
        logits = model.forward(params, batch)
        chosen = jax.nn.log_softmax(logits)
        targets = jnp.asarray(batch["targets"])[..., None]
        nll = -jnp.take_along_axis(chosen, targets, axis=-1)[..., 0]
        return jnp.sum(nll * mask), logits

    return jax.jit(jax.grad(loss, has_aux=True))


@functools.lru_cache
def found(kernel, first_seed):
    """Logits and gradients of the second of two records, the first drawn by a seed."""
    pair = [tiny.example(first_seed, 40, 2, FORM), tiny.example(1, 30, 2, FORM)]
    batch = tiny.rows([pair], FORM, seq_len=ROW, max_images=4)
    second = batch["segment_ids"] == 2
    params = tiny.bench("official").params
    grads, logits = logits_and_grads(kernel)(params, batch, batch["loss_mask"] & second)
    return batch, second, np.asarray(logits), jax.tree.map(np.asarray, grads)


@pytest.mark.integration
@pytest.mark.parametrize("kernel", ["xla", "splash"])
def test_a_record_moves_neither_the_logits_nor_the_gradients_of_its_neighbour(kernel):
    batch, second, logits, grads = found(kernel, 0)
    other, _, moved_logits, moved_grads = found(kernel, 2)
    assert np.any(batch["images"][:, :2] != other["images"][:, :2])
    assert np.any((batch["tokens"] != other["tokens"])[~second])
    assert np.abs(logits - moved_logits)[batch["segment_ids"] == 1].max() > 0.1
    np.testing.assert_array_equal(logits[second], moved_logits[second])
    # Products with zeros may be added in another order: nothing but rounding is left.
    for ours, theirs in zip(
        jax.tree.leaves(grads), jax.tree.leaves(moved_grads), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.integration
def test_the_kernels_agree_in_logits_and_gradients():
    _, second, logits, grads = found("xla", 0)
    _, _, fused_logits, fused_grads = found("splash", 0)
    # f32 in other orders, through two layers
    np.testing.assert_allclose(logits[second], fused_logits[second], atol=2e-4)
    whole = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(grads)))
    for ours, theirs in zip(
        jax.tree.leaves(grads), jax.tree.leaves(fused_grads), strict=True
    ):
        assert np.linalg.norm(ours - theirs) < 1e-5 * whole
