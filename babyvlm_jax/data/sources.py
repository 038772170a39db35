"""Examples by (dataset, record number), kept in memory once tokenised and decoded."""

import threading

import numpy as np

from babyvlm_jax.data.conversation import Encoded, encode
from babyvlm_jax.data.images import blank
from babyvlm_jax.data.rows import Example, decode
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.tokenizer import Tokenizer

TEXT_CACHE_BYTES = 256 * 2**20  # ours: about a million short utterances


class ByteBudget:
    """A dict that stops growing at a number of bytes.

    Nothing is evicted: records come round once an epoch, so evicting the oldest would
    always evict the one that is needed next.
    """

    def __init__(self, limit_bytes: int):
        self._left = limit_bytes
        self._items: dict = {}
        self._lock = threading.Lock()

    def get(self, key):
        """The value of `key`, or None."""
        return self._items.get(key)

    def put(self, key, value, size_bytes: int) -> None:
        """Keeps `value` if there is room for it."""
        with self._lock:
            if key not in self._items and size_bytes <= self._left:
                self._left -= size_bytes
                self._items[key] = value


class ExampleSource:
    """Reads, tokenises and decodes the records of several datasets."""

    def __init__(
        self,
        sources: list[RecordSource],
        tokenizer: Tokenizer,
        template: str,
        tokens_per_image: int,
        image_size: int,
        dedupe_images: bool,
        blank_images: bool,
        cache_images_bytes: int,
    ):
        """
        Args:
            sources: the datasets, by number.
            tokenizer: as in `conversation.encode`, like `template`,
                `tokens_per_image` and `dedupe_images`.
            image_size: side of the decoded pictures.
            blank_images: show the mean colour instead of every picture.
            cache_images_bytes: room for decoded pictures; 0 decodes again each time.
        """
        self._sources = sources
        self._encoding = (tokenizer, template, tokens_per_image)
        self._dedupe_images = dedupe_images
        self._image_size = image_size
        self._blank = blank(image_size) if blank_images else None
        self._texts = ByteBudget(TEXT_CACHE_BYTES)
        self._pictures = ByteBudget(cache_images_bytes)

    def __call__(self, dataset: int, number: int) -> Example:
        """The example of record `number` of dataset `dataset`.

        Raises:
            UserError: damaged shard or picture; names the dataset or record.
        """
        key = (dataset, number)
        encoded, pictures = self._texts.get(key), self._pictures.get(key)
        if encoded is not None and pictures is not None:
            return Example(encoded, pictures)
        encoded = self._encode(dataset, number)
        pictures = self._decode(encoded)
        encoded = _without_images(encoded)
        self._texts.put(key, encoded, encoded.tokens.size * 13 + 500)
        self._pictures.put(key, pictures, pictures.nbytes)
        return Example(encoded, pictures)

    def _encode(self, dataset, number) -> Encoded:
        return encode(
            self._sources[dataset][number],
            *self._encoding,
            dedupe_images=self._dedupe_images,
        )

    def _decode(self, encoded):
        if self._blank is not None:
            return np.repeat(self._blank[None], len(encoded.images), axis=0)
        return decode(encoded.id, encoded.images, self._image_size)


def _without_images(encoded):
    return Encoded(
        encoded.id,
        encoded.tokens,
        encoded.targets,
        encoded.loss_mask,
        encoded.visual_index,
        (),
    )
