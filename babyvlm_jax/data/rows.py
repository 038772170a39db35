"""Encoded records -> the arrays of a batch.

Axes: B rows, T tokens, M images a row, P visual tokens an image.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.images import preprocess
from babyvlm_jax.runtime.errors import UserError


class RowShape(NamedTuple):
    """Static sizes of a row.

    Attributes:
        features: tokens, width and type of a picture's features, if rows hold these
            instead of pixels.
    """

    seq_len: int
    max_images: int
    image_size: int
    tokens_per_image: int
    features: tuple[int, int, np.dtype] | None = None

    def no_pictures(self, *slots: int) -> tuple[str, np.ndarray]:
        """The key of the pictures in a batch, and zeros for so many of them."""
        if self.features is None:
            side = self.image_size
            return "images", np.zeros((*slots, side, side, 3), np.uint8)
        *size, dtype = self.features
        return "features", np.zeros((*slots, *size), dtype)


class Example(NamedTuple):
    """A record ready to be laid into a row.

    Attributes:
        encoded: its tokens.
        images: u8[H, W, 3] of each picture, or what an encoder saw in it.
        source: number of its dataset.
    """

    encoded: Encoded
    images: Sequence[np.ndarray]
    source: int = 0


def collate(
    rows: Sequence[Sequence[Example]], shape: RowShape
) -> dict[str, np.ndarray]:
    """Lays examples end to end into rows.

    Two records [sos, a | a, eos] and [sos, b | b, eos], T = 6, no pictures:

        tokens       [sos, a, sos, b, 0, 0]
        targets      [a, eos, b, eos, 0, 0]
        positions    [0,   1,   0, 1, 0, 0]
        segment_ids  [1,   1,   2, 2, 0, 0]
        sources      their datasets' numbers, where the record is

    Args:
        rows: examples of each row; they fit.
        shape: static sizes.

    Returns:
        The row contract: tokens, targets, loss_mask, positions, segment_ids,
        visual_index, sources, images (or features), image_mask.

    Raises:
        UserError: a row holds more than fits.
    """
    size = (len(rows), shape.seq_len)
    slots = (len(rows), shape.max_images)
    pictures, empty = shape.no_pictures(*slots)
    batch = {
        "tokens": np.zeros(size, np.int32),
        "targets": np.zeros(size, np.int32),
        "loss_mask": np.zeros(size, bool),
        "positions": np.zeros(size, np.int32),
        "segment_ids": np.zeros(size, np.int32),
        "visual_index": np.full(size, -1, np.int32),
        "sources": np.zeros(size, np.int32),
        pictures: empty,
        "image_mask": np.zeros(slots, bool),
    }
    count_up = np.arange(shape.seq_len, dtype=np.int32)
    for row, examples in enumerate(rows):
        token, slot = 0, 0
        for segment, (encoded, images, source) in enumerate(examples, start=1):
            end, last = token + len(encoded.tokens), slot + len(images)
            if end > shape.seq_len or last > shape.max_images:
                raise UserError(
                    f"record {encoded.id!r} does not fit: its row would hold {end} "
                    f"tokens and {last} images, but seq_len is {shape.seq_len} and "
                    f"max_images {shape.max_images}; raise them"
                )
            batch["tokens"][row, token:end] = encoded.tokens
            batch["targets"][row, token:end] = encoded.targets
            batch["loss_mask"][row, token:end] = encoded.loss_mask
            batch["positions"][row, token:end] = count_up[: end - token]
            batch["segment_ids"][row, token:end] = segment
            batch["sources"][row, token:end] = source
            if len(images):
                offset = (encoded.visual_index >= 0) * slot * shape.tokens_per_image
                batch["visual_index"][row, token:end] = encoded.visual_index + offset
                for place, image in enumerate(images, slot):
                    batch[pictures][row, place] = image
                batch["image_mask"][row, slot:last] = True
            token, slot = end, last
    return batch


def collate_prompts(
    encoded: Sequence[Encoded],
    seq_len: int,
    max_images: int,
    image_size: int,
    tokens_per_image: int,
) -> dict[str, np.ndarray]:
    """One record a row, right padded: what evaluation feeds the model.

    Args:
        encoded: the records, usually encoded with `answer=False`.
        seq_len: T.
        max_images: M.
        image_size: H and W.
        tokens_per_image: P.

    Returns:
        The row contract; segment_ids are 1 on the record and 0 on padding.

    Raises:
        UserError: a record does not fit, or one of its pictures cannot be decoded.
    """
    shape = RowShape(seq_len, max_images, image_size, tokens_per_image)
    examples = [
        [Example(e, decode(e.id, e.images, image_size, make=_preprocess_cached))]
        for e in encoded
    ]
    return collate(examples, shape)


# ours: many evaluation items and dialogue rounds show the same pictures
_preprocess_cached = functools.lru_cache(maxsize=1024)(preprocess)


def decode(
    record_id: str,
    images: Sequence[bytes],
    image_size: int,
    scaled: bool = False,
    make: Callable[..., np.ndarray] = preprocess,
) -> list[np.ndarray]:
    """Decodes a record's pictures.

    Args:
        record_id: for the message.
        images: encoded pictures.
        image_size: side of the result.
        scaled: as in `images.preprocess`.
        make: `preprocess`, or one that remembers.

    Returns:
        u8[image_size, image_size, 3] of each.

    Raises:
        UserError: one cannot be decoded; names the record.
    """
    out = []
    for number, data in enumerate(images):
        try:
            out.append(make(data, image_size, scaled))
        except UserError as error:
            raise UserError(
                f"record {record_id!r}, image {number + 1} of {len(images)}: {error}"
            ) from None
    return out
