"""Losses against figures computed by hand."""

import jax.numpy as jnp
import numpy as np

from babyvlm_jax.losses import distillation, token_nll, token_nll_by_source


def test_token_nll_sums_what_counts():
    # probabilities 1/4 and 3/4; then 1/2 and 1/2; then unsupervised
    logits = jnp.array([[0.0, np.log(3.0)], [1.0, 1.0], [9.0, -9.0]])
    targets = jnp.array([1, 0, 1])
    total, count = token_nll(logits, targets, jnp.array([True, True, False]))
    np.testing.assert_allclose(total, np.log(4 / 3) + np.log(2), rtol=1e-6)
    assert float(count) == 2.0


def test_token_nll_of_nothing_is_zero():
    total, count = token_nll(
        jnp.ones((1, 3, 5)), jnp.zeros((1, 3), int), jnp.zeros((1, 3), bool)
    )
    assert (float(total), float(count)) == (0.0, 0.0)


def test_token_nll_of_each_dataset():
    logits = jnp.array([[0.0, np.log(3.0)], [1.0, 1.0], [1.0, 1.0], [9.0, -9.0]])
    found = token_nll_by_source(
        logits,
        jnp.array([1, 0, 1, 1]),
        jnp.array([True, True, True, False]),
        jnp.array([1, 0, 0, 0]),
        ("pairs", "text", "none"),
    )
    sums = {name: (float(nll), float(count)) for name, (nll, count) in found.items()}
    expected = {"pairs": (2 * np.log(2), 2), "text": (np.log(4 / 3), 1), "none": (0, 0)}
    assert sums.keys() == expected.keys()
    for name, pair in expected.items():
        np.testing.assert_allclose(sums[name], pair, rtol=1e-6, err_msg=name)


def test_distillation_pairs_each_teacher_view_with_every_other_view():
    # One image, two prototypes; student views: the two global ones and a local one.
    student = jnp.log(jnp.array([[[0.5, 0.5]], [[0.25, 0.75]], [[0.1, 0.9]]]))
    teacher = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    total, count = distillation(student, teacher)
    # teacher 0 looks at views 1 and 2, teacher 1 at views 0 and 2
    expected = -np.log([0.25, 0.1, 0.5, 0.9]).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert float(count) == 4.0
