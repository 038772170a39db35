"""How well a picture fits an utterance: the plug point of the similarity filter.

A scorer sees pictures and as many texts. To add one, put its factory into `SCORERS`;
it is made once in each process. Axes: N pairs, H height, W width.
"""

import io
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from PIL import Image


class Scorer(Protocol):
    """Scores pairs of a picture and a text; more is more alike."""

    def __call__(
        self, images: Sequence[np.ndarray], texts: Sequence[str]
    ) -> np.ndarray:
        """Takes N pictures u8[H, W, 3] and N texts; returns f32[N]."""
        ...


# None: no scoring, everything is kept.
SCORERS: dict[str, Callable[[], Scorer] | None] = {"none": None}


def make_scorer(name: str) -> Scorer | None:
    """Makes the scorer called `name`, None where nothing is scored."""
    factory = SCORERS[name]
    return None if factory is None else factory()


def score_pairs(
    scorer: Scorer | None, pairs: Sequence[tuple[bytes, str]]
) -> list[float] | None:
    """Scores pictures as they are stored: the filter sees what training will see.

    Args:
        scorer: what to ask, None for no scores.
        pairs: JPEG file and utterance.

    Returns:
        A score for each pair, or None without a scorer.
    """
    if scorer is None:
        return None
    if not pairs:
        return []
    images = [np.asarray(Image.open(io.BytesIO(data))) for data, _ in pairs]
    scores = scorer(images, [text for _, text in pairs])
    return [float(score) for score in scores]
