"""Models that say how well a picture and a text fit: two embeddings and their cosine.

Axes: N pictures or texts, S side in pixels, D width of the embedding.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from babyvlm_jax.data.rows import decode
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.engine import Choices
from babyvlm_jax.evals.items import num_rounds
from babyvlm_jax.evals.predictors import Likelihoods, Predictor, Replies
from babyvlm_jax.runtime.errors import UserError

BATCH = 256  # ours: pictures or texts that a model is given together


class ImageTextModel(Protocol):
    """Two towers that map pictures and texts to one sphere.

    What normalises pixels, cuts text into tokens and batches for the device is the
    model's own business.
    """

    def image_embeddings(self, images: np.ndarray) -> np.ndarray:
        """u8[N, S, S, 3] pictures -> f32[N, D], each of length 1."""
        ...

    def text_embeddings(self, texts: list[str]) -> np.ndarray:
        """N texts -> f32[N, D], each of length 1."""
        ...


class SimilarityPredictor(Predictor):
    """An image-text model as one who answers: a text's score is its cosine.

    It writes nothing, so the protocols are `match` alone.

    Args:
        model: the two towers.
        image_size: S, the side of the pictures that the model takes.
        name: of the model, for messages.
        progress: is told the number of items that are newly answered.
    """

    def __init__(
        self,
        model: ImageTextModel,
        image_size: int,
        name: str = "the model",
        progress: Callable[[int], object] = lambda number: None,
    ):
        self._model, self._size, self._name = model, image_size, name
        self._progress = progress

    def generate(self, items: Sequence[Record]) -> Replies:
        raise UserError(
            f"{self._name} compares pictures with texts and writes nothing; set "
            "--config.protocols=\"('match',)\" and leave out the task 'caption'"
        )

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        """Cosines of each item's picture with the texts that are offered.

        Raises:
            UserError: an item has several pictures or rounds, or one picture cannot
                be decoded.
        """
        for item in items:
            if (num_rounds(item), len(item.images)) != (1, 1):
                raise UserError(
                    f"item {item.id!r} has {len(item.images)} pictures and "
                    f"{num_rounds(item)} questions; {self._name} compares one picture "
                    "with one text, use the protocol 'match'"
                )
        seen = self._pictures(items)
        read = self._texts(text for rounds in choices for text in rounds[0])
        found = []
        for item, (offered,) in zip(items, choices, strict=True):
            texts = np.stack([read[text] for text in offered])
            found.append([(texts @ seen[item.images[0]]).astype(np.float64)])
        self._progress(len(items))
        return found

    def _pictures(self, items) -> dict[bytes, np.ndarray]:
        owners = {item.images[0]: item.id for item in items}
        every = list(owners)
        rows = []
        for start in range(0, len(every), BATCH):
            some = every[start : start + BATCH]
            images = [decode(owners[one], (one,), self._size)[0] for one in some]
            rows += list(self._model.image_embeddings(np.stack(images)))
        return dict(zip(every, rows, strict=True))

    def _texts(self, texts) -> dict[str, np.ndarray]:
        every = list(dict.fromkeys(texts))
        rows = []
        for start in range(0, len(every), BATCH):
            rows += list(self._model.text_embeddings(every[start : start + BATCH]))
        return dict(zip(every, rows, strict=True))
