"""Word vectors: learnt from the corpus's own text, or read from a file.

Vectors from text are those of its co-occurrence: positive pointwise mutual information
in a window, reduced by a singular value decomposition.

Source: Levy & Goldberg, Neural Word Embedding as Implicit Matrix Factorization, 2014.
"""

import collections
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import scipy.sparse

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv.wordlist import normal, read_lines

WINDOW = 4  # words to each side
MAX_WORDS = 5000  # the most frequent ones
MIN_COUNT = 2
NUM_DIMENSIONS = 50
OVERSAMPLED = 10  # dimensions more while the largest are looked for
POWER_STEPS = 4
_WORD = re.compile(r"[a-z']+")


def learn(lines: Iterable[str]) -> dict[str, np.ndarray]:
    """Vectors of the words of a text, f64[D] of length 1 each.

    Args:
        lines: utterances; words of two of them are never neighbours.

    Raises:
        UserError: fewer than three words occur twice.
    """
    texts = [_WORD.findall(line.lower()) for line in lines]
    counts = collections.Counter(word for text in texts for word in text)
    common = [word for word, n in counts.most_common(MAX_WORDS) if n >= MIN_COUNT]
    if len(common) < 3:
        raise UserError(
            f"the text has {len(common)} words that occur twice; too few for word "
            "vectors: give more text, or --vectors=FILE"
        )
    place = {word: index for index, word in enumerate(common)}
    pairs = collections.Counter(
        (place[a], place[b])
        for text in texts
        for i, a in enumerate(text)
        for b in text[max(i - WINDOW, 0) : i] + text[i + 1 : i + 1 + WINDOW]
        if a in place and b in place
    )
    return dict(zip(common, _reduced(pairs, len(common)), strict=True))


def _reduced(pairs: Mapping[tuple[int, int], int], size: int) -> np.ndarray:
    """f64[V, D], rows of length 1 (0 for a word without neighbours)."""
    rows, columns = np.array(sorted(pairs), int).reshape(-1, 2).T
    values = np.array([pairs[pair] for pair in sorted(pairs)], float)
    counts = scipy.sparse.csr_matrix((values, (rows, columns)), (size, size))
    totals = np.asarray(counts.sum(axis=1)).ravel()
    mutual = np.log(values * totals.sum() / (totals[rows] * totals[columns]))
    positive = scipy.sparse.csr_matrix((mutual.clip(0), (rows, columns)), (size, size))
    left, strength = _largest(positive, min(NUM_DIMENSIONS, size - 1))
    vectors = left * np.sqrt(strength)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 1e-9, length, 1)


def _largest(matrix, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors f64[V, D] and values f64[D], the largest first.

    Source: Halko, Martinsson & Tropp, Finding Structure with Randomness, 2011; as the
    dice are always the same, so is the result.
    """
    size = matrix.shape[0]
    start = np.random.default_rng(0).normal(size=(size, min(rank + OVERSAMPLED, size)))
    basis = np.linalg.qr(matrix @ start)[0]
    for _ in range(POWER_STEPS):
        basis = np.linalg.qr(matrix @ (matrix.T @ basis))[0]
    left, strength, _ = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    return (basis @ left)[:, :rank], strength[:rank]


def read_vectors(path: str | Path) -> dict[str, np.ndarray]:
    """Vectors of a text file: a word and its numbers a line, as word2vec and GloVe.

    Raises:
        UserError: the file cannot be read, or a line is none of that form.
    """
    found: dict[str, np.ndarray] = {}
    lines = read_lines(Path(path), "--vectors")
    for number, line in enumerate(lines):
        word, *numbers = line.split()
        if number == 0 and len(numbers) == 1:
            continue  # word2vec's header: how many words, how many numbers
        try:
            vector = np.array(numbers, float)
        except ValueError:
            vector = np.zeros(0)
        size = len(next(iter(found.values()), vector))
        if not len(vector) or len(vector) != size or not np.isfinite(vector).all():
            raise UserError(
                f"--vectors={path}: line {number + 1} is no word and {size or 'some'}"
                " numbers"
            )
        found[word.lower()] = vector / max(np.linalg.norm(vector), 1e-9)
    return found


def of_word(word: str, vectors: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Vector of a word, or the mean of its parts' (`toy cup`); None if none is so."""
    parts = [vectors[part] for part in normal(word).split() if part in vectors]
    return np.mean(parts, axis=0) if parts else None
