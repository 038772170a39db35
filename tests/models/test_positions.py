"""Sinusoids and torch's bicubic weights, number by number."""

import numpy as np

from babyvlm_jax.models.decoder import sinusoids
from babyvlm_jax.models.vision import torch_bicubic


def test_sinusoids_of_width_four():
    sin, cos = np.sin, np.cos
    expected = [
        [0, 1, 0, 1],
        [sin(1), cos(1), sin(0.01), cos(0.01)],
        [sin(2), cos(2), sin(0.02), cos(0.02)],
    ]
    np.testing.assert_allclose(sinusoids(3, 4), expected, rtol=1e-6)
    assert sinusoids(3, 5).shape == (3, 5)


def test_torch_bicubic_from_two_points_to_four():
    # Keys' kernel with a = -3/4 at 1.75, .75, .25 and 1.25:
    # -.03515625, .26171875, .87890625, -.10546875; edges repeat.
    expected = [
        [1.10546875, -0.10546875],
        [0.7734375, 0.2265625],
        [0.2265625, 0.7734375],
        [-0.10546875, 1.10546875],
    ]
    np.testing.assert_allclose(torch_bicubic(2, 4), expected, rtol=1e-6)


def test_torch_bicubic_to_fewer_points_leaves_some_out():
    # Two points of eight: each sees four neighbours, a widened kernel would see more.
    assert (torch_bicubic(8, 2) != 0).sum(axis=1).tolist() == [4, 4]
    assert torch_bicubic(3, 3).tolist() == np.eye(3).tolist()
