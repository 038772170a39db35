"""How well a picture fits an utterance: the similarity filter's scorers.

`none` keeps everything; any embedder of `embedding.py` scores by the cosine of a
picture's vector and its text's. Axes: N pairs.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from data_prep.stages.embedding import Batches, is_embedder, make_embedder


class Scorer(Protocol):
    """Scores pairs of a picture and a text; more is more alike."""

    def __call__(self, files: Sequence[bytes], texts: Sequence[str]) -> np.ndarray:
        """Takes N encoded pictures and N texts; returns f32[N]."""
        ...


# None: no scoring, everything is kept.
SCORERS: dict[str, Callable[[], Scorer] | None] = {"none": None}


class CosineScorer:
    """The cosine of a picture's embedding and its text's."""

    def __init__(self, batches: Batches):
        self._batches = batches

    def __call__(self, files: Sequence[bytes], texts: Sequence[str]) -> np.ndarray:
        pictures, said = self._batches.pictures(files), self._batches.texts(texts)
        return np.einsum("ND,ND->N", pictures, said)


def is_scorer(name: str) -> bool:
    """Whether a name is in `SCORERS` or has the form of an embedder's."""
    return name in SCORERS or is_embedder(name)


def make_scorer(name: str) -> Scorer | None:
    """Makes the scorer called `name`, None where nothing is scored.

    Raises:
        UserError: there is no such embedder.
    """
    if name not in SCORERS:
        return _cosine_scorer(name)
    factory = SCORERS[name]
    return None if factory is None else factory()


@functools.lru_cache(maxsize=1)  # a process asks for one, for every recording
def _cosine_scorer(name: str) -> CosineScorer:
    return CosineScorer(Batches(make_embedder(name)))


def score_pairs(
    scorer: Scorer | None, pairs: Sequence[tuple[bytes, str]]
) -> list[float] | None:
    """Scores pictures as they are stored: the filter sees what training will see.

    Args:
        scorer: what to ask, None for no scores.
        pairs: picture file and utterance.

    Returns:
        A score for each pair, or None without a scorer.
    """
    if scorer is None:
        return None
    if not pairs:
        return []
    files, texts = zip(*pairs, strict=True)
    return [float(score) for score in scorer(files, texts)]
