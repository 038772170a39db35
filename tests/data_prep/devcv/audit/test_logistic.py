"""The small model: what it can learn, and what cross-validation says of noise."""

import numpy as np

from data_prep.devcv.audit.blind import cross_validated, fit, transferred


def _problem(number, slope):
    """Choice features that tell (slope > 0) or do not tell the right one."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(number, 3, 2))
    gold = (slope * z[:, :, 0] + rng.gumbel(size=(number, 3))).argmax(axis=1)
    x = np.ones((number, 1))
    return x, z, np.ones((number, 3), bool), gold, [str(k) for k in range(number)]


def test_weights_are_those_of_the_likelihood():
    x, z, offered, gold, _ = _problem(4000, slope=2.0)
    weights, shared = fit(x, z, offered, gold)
    assert np.abs(shared - [2.0, 0.0]).max() < 0.15 and np.abs(weights).max() < 0.15


def test_noise_is_not_learnt():
    right = cross_validated(*_problem(600, slope=0.0))
    assert abs(right.mean() - 1 / 3) < 0.06
    assert cross_validated(*_problem(600, slope=4.0)).mean() > 0.8


def test_a_class_that_is_not_offered_is_never_told():
    x, z, offered, gold, groups = _problem(300, slope=0.0)
    offered[:] = False
    offered[np.arange(300), gold] = True
    assert cross_validated(x, z, offered, gold, groups).all()


def test_what_train_teaches_is_scored_on_the_rest():
    right = transferred(*_problem(600, slope=4.0)[:4], num_fitted=400)
    assert right.shape == (200,) and right.mean() > 0.8
