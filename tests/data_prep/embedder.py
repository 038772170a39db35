"""A small real embedder for tests: what colours a picture has, what colours are named.

Pictures become the shares of their pixels nearest to each named colour; texts count the
names, and have one more place for each of 8 hashes of other words. So the cosine of a
red picture is 1 with "red" and 1 / sqrt(2) with "red ball". Every call is recorded.
"""

import zlib

import numpy as np

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (30, 50, 220),
    "yellow": (230, 220, 40),
    "black": (10, 10, 10),
    "white": (245, 245, 245),
}
HASHES = 8
FUNCTION_WORDS = ("a", "the", "is", "it", "look", "at", "see", "that")


class Colours:
    """Axes: N items, S side, D = colours + hashes."""

    def __init__(self, checkpoint: str = ""):
        self.checkpoint = checkpoint
        self.image_batches: list[int] = []
        self.text_batches: list[int] = []

    def image_embeddings(self, images: np.ndarray) -> np.ndarray:
        """u8[N, S, S, 3] -> f32[N, D]."""
        self.image_batches.append(len(images))
        named = np.array(list(COLOURS.values()), np.float32)
        step = max(1, images.shape[1] // 16)  # a few of them say what colours there are
        images = images[:, step // 2 :: step, step // 2 :: step]
        pixels = images.reshape(len(images), -1, 1, 3).astype(np.float32)
        nearest = np.square(pixels - named).sum(-1).argmin(-1)
        shares = np.stack([np.bincount(row, minlength=len(named)) for row in nearest])
        return _unit(np.pad(shares, ((0, 0), (0, HASHES))))

    def text_embeddings(self, texts: list[str]) -> np.ndarray:
        """N texts -> f32[N, D]."""
        self.text_batches.append(len(texts))
        found = np.zeros((len(texts), len(COLOURS) + HASHES))
        names = list(COLOURS)
        for row, text in zip(found, texts, strict=True):
            for word in text.lower().split():
                if word in COLOURS:
                    row[names.index(word)] += 1
                elif word not in FUNCTION_WORDS:
                    row[len(names) + zlib.crc32(word.encode()) % HASHES] += 1
        return _unit(found)


def _unit(rows):
    rows = rows.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def make(checkpoint: str) -> Colours:
    """The factory: `tests.data_prep.embedder:make@CHECKPOINT`."""
    return Colours(checkpoint)


SPEC = "tests.data_prep.embedder:make"
