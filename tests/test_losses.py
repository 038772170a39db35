"""Losses against figures computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.losses import (
    chunked_token_losses,
    masked_sum,
    token_losses,
    token_nll,
)
from babyvlm_jax.training.objectives.dino import distillation
from babyvlm_jax.training.objectives.tokens import by_source
from tests.chosen import some


def test_token_nll_sums_what_counts():
    # probabilities 1/4 and 3/4; then 1/2 and 1/2; then unsupervised
    logits = np.array([[0.0, np.log(3.0)], [1.0, 1.0], [9.0, -9.0]])
    targets = np.array([1, 0, 1])
    total, count = jax.jit(token_nll)(logits, targets, np.array([True, True, False]))
    np.testing.assert_allclose(total, np.log(4 / 3) + np.log(2), rtol=1e-6)
    assert float(count) == 2.0


def test_token_nll_of_nothing_is_zero():
    total, count = jax.jit(token_nll)(
        np.ones((1, 3, 5)), np.zeros((1, 3), int), np.zeros((1, 3), bool)
    )
    assert (float(total), float(count)) == (0.0, 0.0)


def test_token_nll_of_each_dataset():
    logits = np.array([[0.0, np.log(3.0)], [1.0, 1.0], [1.0, 1.0], [9.0, -9.0]])
    nll, _ = jax.jit(token_losses)(logits, np.array([1, 0, 1, 1]))
    found = by_source(
        nll,
        jnp.array([True, True, True, False]),
        jnp.array([1, 0, 0, 0]),
        ("pairs", "text", "none"),
    )
    sums = {name: (float(nll), float(count)) for name, (nll, count) in found.items()}
    expected = {"pairs": (2 * np.log(2), 2), "text": (np.log(4 / 3), 1), "none": (0, 0)}
    assert sums.keys() == expected.keys()
    for name, pair in expected.items():
        np.testing.assert_allclose(sums[name], pair, rtol=1e-6, err_msg=name)


def chunk_case():
    """Hidden states, a table, targets and a mask; rows have 5, 0 and 2 that count."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 7, 4)).astype(np.float32)
    table = rng.normal(size=(4, 9)).astype(np.float32)
    targets = rng.integers(0, 9, (3, 7))
    mask = np.array([[0, 1, 1, 0, 1, 1, 1], [0] * 7, [1, 0, 0, 0, 0, 0, 1]], bool)
    return x, table, targets, mask


def chunked_sums(x, table, targets, mask, chunk):
    """Sum of the losses and a z term, whole (chunk 0) or in chunks."""
    if chunk:
        nll, log_z = chunked_token_losses(
            lambda part: part @ table, x, targets, mask, chunk
        )
    else:
        nll, log_z = token_losses(x @ table, targets)
    return masked_sum(nll, mask)[0] + 0.1 * masked_sum(log_z**2, mask)[0], nll


@pytest.mark.parametrize("chunk", some([2, 7, 16], (7,)))
def test_chunks_give_the_losses_and_gradients_of_the_whole(chunk):
    case = chunk_case()
    grad = jax.jit(
        jax.value_and_grad(chunked_sums, (0, 1), has_aux=True), static_argnums=4
    )
    (total, nll), grads = grad(*case, chunk)
    (expected, expected_nll), expected_grads = grad(*case, 0)
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    mask = case[3]
    np.testing.assert_allclose(nll[mask], expected_nll[mask], rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
        assert np.abs(theirs).max() > 0.1


def test_chunks_without_supervised_tokens_are_not_computed():
    x, table, targets, mask = chunk_case()
    # the most that a row has is 5: of chunks of 2, the fourth is skipped
    chunked = jax.jit(chunked_token_losses, static_argnums=(0, 4))
    nll, _ = chunked(lambda part: part @ table, x, targets, mask, 2)
    assert ((np.asarray(nll) == 0).sum(axis=1)).tolist() == [1, 1, 1]
    assert (np.asarray(nll)[mask] > 0).all()


def test_distillation_leaves_out_what_fills_a_batch():
    rng = np.random.default_rng(0)
    teacher, student = rng.random((2, 5, 3)), rng.random((4, 5, 3))
    valid = np.arange(5) < 2
    found = distillation(student, teacher, valid)
    kept = distillation(student[:, :2], teacher[:, :2])
    np.testing.assert_allclose(found, kept, rtol=1e-6)


def test_distillation_pairs_each_teacher_view_with_every_other_view():
    # One image, two prototypes; student views: the two global ones and a local one.
    student = np.log(np.array([[[0.5, 0.5]], [[0.25, 0.75]], [[0.1, 0.9]]]))
    teacher = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    total, count = jax.jit(distillation)(student, teacher)
    # teacher 0 looks at views 1 and 2, teacher 1 at views 0 and 2
    expected = -np.log([0.25, 0.1, 0.5, 0.9]).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert float(count) == 4.0
