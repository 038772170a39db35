"""A small logistic model over the choices of a question, and its cross-validation.

Axes: N questions, C classes, K = C choices, V features of a question, D of a choice.
The score of choice k is `x W[:, k] + z[k] w`: features of the question with weights of
each class, features of the choice with weights they share.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.special

from babyvlm_jax.ties import best_places

FOLDS = 5
L2 = 1.0  # of the weights, against the sum of losses; features are standardised
MAX_STEPS = 60


def fit(
    x: np.ndarray, z: np.ndarray, offered: np.ndarray, gold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights that make the right choices likely.

    Args:
        x: f64[N, V] features of the questions; a column of ones gives every class a
            bias.
        z: f64[N, C, D] features of the choices.
        offered: bool[N, C] which classes a question offers.
        gold: i64[N] the right one.

    Returns:
        W f64[V, C] and w f64[D].
    """
    size = x.shape[1] * offered.shape[1]
    onehot = np.eye(offered.shape[1])[gold]

    def loss(flat):
        weights, shared = flat[:size].reshape(x.shape[1], -1), flat[size:]
        logits = scores(x, z, offered, weights, shared)
        log_z = scipy.special.logsumexp(logits, axis=1)
        nll = (log_z - logits[np.arange(len(gold)), gold]).sum()
        slope = np.exp(logits - log_z[:, None]) - onehot
        by_class = (x.T @ slope).ravel() + L2 * flat[:size]
        by_choice = np.einsum("NC,NCD->D", slope, z) + L2 * shared
        value = nll + L2 / 2 * (flat @ flat)
        return value, np.concatenate([by_class, by_choice])

    start = np.zeros(size + z.shape[2])
    options = {"maxiter": MAX_STEPS}
    found = scipy.optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options=options
    )
    return found.x[:size].reshape(x.shape[1], -1), found.x[size:]


def scores(x, z, offered, weights, shared) -> np.ndarray:
    """f64[N, C], far below all others where a class is not offered."""
    return np.where(offered, x @ weights + z @ shared, -1e9)


def cross_validated(
    x: np.ndarray,
    z: np.ndarray,
    offered: np.ndarray,
    gold: np.ndarray,
    groups: Sequence[str],
) -> np.ndarray:
    """Which questions a model of the other folds answers right, bool[N].

    Args:
        x: see `fit`; the first column is the bias.
        z: see `fit`.
        offered: see `fit`.
        gold: see `fit`.
        groups: questions of one group are in one fold.
    """
    folds = np.array([zlib.crc32(group.encode()) % FOLDS for group in groups])
    right = np.zeros(len(gold), bool)
    for fold in range(FOLDS):
        test = folds == fold
        if test.any() and not test.all():
            right[test] = _scored(x, z, offered, gold, ~test, test)
    return right


def transferred(
    x: np.ndarray,
    z: np.ndarray,
    offered: np.ndarray,
    gold: np.ndarray,
    num_fitted: int,
) -> np.ndarray:
    """Which of the later questions a model of the first ones answers right, bool[N'].

    Args:
        x: see `fit`; the first column is the bias.
        z: see `fit`.
        offered: see `fit`.
        gold: see `fit`.
        num_fitted: questions to fit to.
    """
    is_fitted = np.arange(len(gold)) < num_fitted
    return _scored(x, z, offered, gold, is_fitted, ~is_fitted)


def _scored(x, z, offered, gold, train, test) -> np.ndarray:
    x_train, x_test = _standardised(x[train], x[test])
    z_train, z_test = _standardised(z[train], z[test])
    weights, shared = fit(x_train, z_train, offered[train], gold[train])
    said = scores(x_test, z_test, offered[test], weights, shared)
    return np.array([best_places(row)[0] for row in said], int) == gold[test]


def _standardised(train, test):
    """Both with the mean and spread of `train`; columns that never change stay."""
    axes = tuple(range(train.ndim - 1))
    middle, spread = train.mean(axis=axes), train.std(axis=axes)
    is_still = spread < 1e-9
    middle, spread = np.where(is_still, 0, middle), np.where(is_still, 1, spread)
    return (train - middle) / spread, (test - middle) / spread
