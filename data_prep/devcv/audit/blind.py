"""Checks with a blind reader: the words without images, images without words.

The reader is a small logistic model over the choices of a question. Axes: N questions,
C classes, K = C choices, V features of a question, D of a choice. The score of choice k
is `x W[:, k] + z[k] w`: features of the question with weights of each class, features
of the choice with weights they share.
"""

import collections
import itertools
import re
import zlib
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.special

from babyvlm_jax.data.questions import Question
from babyvlm_jax.ties import best_places
from data_prep.devcv.audit.checks import (
    FAULT,
    MARGIN,
    NONE,
    OK,
    Finding,
    Splits,
    effective,
    floor,
    interval,
)
from data_prep.devcv.audit.facts import Facts
from data_prep.devcv.tasks import TASKS

FEWEST = 100  # questions: with less, an interval says nothing
MOST = 4000  # questions of a split that a model is fitted to
MIN_COUNT = 3  # times that a word must occur
MAX_WORDS = 300
_WORDS = re.compile(r"[a-z0-9_']+")
FOLDS = 5
L2 = 1.0  # of the weights, against the sum of losses; features are standardised
MAX_STEPS = 60


def text_only(task: str, splits: Splits) -> Finding:
    """What a logistic model reaches that reads the words and sees no picture."""
    return _solved("text only", task, splits, _read_texts)


def image_only(task: str, splits: Splits) -> Finding:
    """What a logistic model reaches that sees plain features of the options alone.

    The question's words, its query, and earlier rounds are hidden. Of a single picture
    the quadrants are the options.
    """
    if TASKS[task].images_ask:  # `size` and `matcher` look at them
        return Finding("image only", NONE, "the pictures are the whole question")
    return _solved("image only", task, splits, _read_options)


def _solved(check, task, splits: Splits, read) -> Finding:
    """Fits to train and scores the test items; one split alone is cross-validated.

    Frames and things come again within a split, so that a model would know them from
    the other folds; the splits share none.
    """
    asked = {split: _asked(items) for split, items in splits.items()}
    asked = {split: found for split, found in asked.items() if len(found) >= FEWEST}
    if not asked:
        return Finding(check, NONE, f"fewer than {FEWEST} questions")
    scored = max(asked, key=lambda split: (split != "train", len(asked[split])))
    fitted = asked.get("train", []) if scored != "train" else []
    both = [*fitted, *asked[scored]]
    if (made := read(both, [item.rounds[number] for item, number in both])) is None:
        return Finding(check, NONE, "the choices are no pictures")
    if fitted:
        right = transferred(*made, num_fitted=len(fitted))
        how = f"fitted to {len(fitted):,} of train"
    else:
        right = cross_validated(*made, [item.group for item, _ in both])
        how = "cross-validated"
    rounds = [item.rounds[number] for item, number in asked[scored]]
    number = effective(right, [item.group for item, _ in asked[scored]])
    guess, share = floor(task, rounds), float(right.mean())
    low, high = interval(share * number, number)
    told = (
        f"a logistic model scores {share:.3f} [{low:.3f}, {high:.3f}] of "
        f"{len(right):,} ({scored}, {how}), blind guess {guess:.3f}"
    )
    counts = {"split": scored, "number": len(right), "fitted": len(fitted)}
    values = {**counts, "share": share, "low": low, "high": high, "floor": guess}
    verdict = FAULT if low > guess + MARGIN else OK
    return Finding(check, verdict, told, f"{share:.3f}", values)


def _asked(items: Sequence[Facts]) -> list[tuple[Facts, int]]:
    """(item, number of the round) of the questions that leave a choice."""
    return [
        (item, number)
        for item in items
        for number, one in enumerate(item.rounds)
        if one.answer is not None and len(one.choices) != 1
    ][:MOST]


def _read_texts(asked, rounds: Sequence[Question]):
    """Bags of words; of a dialogue also the round and the answer before."""
    bags = []
    for (item, number), one in zip(asked, rounds, strict=True):
        bags.append(words := set(_WORDS.findall(one.prompt.lower())))
        if len(item.rounds) > 1:
            words.add(f"round {number}")
        if number:
            words.add(f"before {item.rounds[number - 1].answer}")
    counts = collections.Counter(itertools.chain.from_iterable(bags))
    common = [
        word for word, count in counts.most_common() if MIN_COUNT <= count < len(bags)
    ][:MAX_WORDS]
    place = {word: index for index, word in enumerate(common, 1)}
    x = np.zeros((len(bags), len(common) + 1))
    x[:, 0] = 1
    for row, bag in zip(x, bags, strict=True):
        row[[place[word] for word in bag if word in place]] = 1
    classes = sorted({name for one in rounds for name in (one.answer, *one.choices)})
    offered = np.array(
        [[c in (one.choices or classes) for c in classes] for one in rounds]
    )
    gold = np.array([classes.index(one.answer) for one in rounds])
    return x, np.zeros((*offered.shape, 0)), offered, gold


def _read_options(asked, rounds: Sequence[Question]):
    """Features of each option's picture, and how far it is from the other options."""
    parts = [
        _option_features(item, number, one)
        for (item, number), one in zip(asked, rounds, strict=True)
    ]
    if any(part is None for part in parts):
        return None
    sizes = np.array([*map(len, parts)])
    offered = np.arange(sizes.max()) < sizes[:, None]
    z = np.zeros((*offered.shape, parts[0].shape[1]))
    # A feature counts by how it differs from the other options'.
    z[offered] = np.concatenate([part - part.mean(axis=0) for part in parts])
    gold = np.array([one.gold for one in rounds])
    return np.ones((len(parts), 1)), z, offered, gold


def _option_features(item, number, one) -> np.ndarray | None:
    if one.options:
        plain = item.features[list(one.options)]
        apart = item.apart[number].copy()
        far = apart.sum(axis=1) / max(len(apart) - 1, 1)
        np.fill_diagonal(apart, np.inf)
        return np.column_stack([plain, far, apart.min(axis=1)])
    if len(one.choices) == len(item.quadrants):
        others = item.quadrants.mean(axis=0)
        return np.column_stack([item.quadrants, np.abs(item.quadrants - others)])
    return None


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

    start, options = np.zeros(size + z.shape[2]), {"maxiter": MAX_STEPS}
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
