"""A checkpoint, the way it reads records, and the batches that it is fed.

Axes: B batch, T tokens, N images, P visual tokens per image, D decoder width. A batch
holds one record per row, or what follows a record in a cache. T is one of a few
lengths, so that a jitted function compiles once for each; the last batch repeats its
last row, and nothing of the repeated rows is kept. An image that occurs twice is
encoded once (`Features`).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from babyvlm_jax.data.conversation import Encoded, encode
from babyvlm_jax.data.images import preprocess
from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.sharding import put_batch


@dataclasses.dataclass(frozen=True)
class Reader:
    """A checkpoint and the way it reads records.

    Attributes:
        model: functions `encode_images`, `prefill`, `decode_step`, `extend`, `branch`.
        params: its parameters.
        tokenizer: its tokenizer.
        template: a name in `data.templates.TEMPLATES`.
        tokens_per_image: P.
        image_size: height and width in pixels.
        batch_size: rows of every batch, over all processes.
        buckets: lengths T of prompts, smallest first.
        mesh: devices of all processes; the caller has set it.
        context: tokens of a prompt that the model reads; 0: all.
    """

    model: Any
    params: Any
    tokenizer: Tokenizer
    template: str
    tokens_per_image: int
    image_size: int
    batch_size: int
    buckets: tuple[int, ...]
    mesh: Mesh
    context: int = 0

    def encode(self, record: Record, answer: bool, closed: bool = True) -> Encoded:
        """Tokens and distinct images of a record, with or without its last answer.

        A prompt that is `closed` is one to write after; see `conversation.encode`.
        """
        return encode(
            record,
            self.tokenizer,
            self.template,
            self.tokens_per_image,
            answer=answer,
            closed=closed,
        )

    def encode_prompt(self, record: Record, closed: bool = True) -> Encoded:
        """A prompt as the model reads it: what is beyond the context is cut off.

        The end is lost, with the question, as in the original.

        Source: BabyVLM-V2 (arXiv 2512.10932), its code: merged sequences are truncated.
        """
        whole = self.encode(record, answer=False, closed=closed)
        if not self.is_beyond(len(whole.tokens)):
            return whole
        columns = ("tokens", "targets", "loss_mask", "visual_index")
        cut = {name: getattr(whole, name)[: self.context] for name in columns}
        return dataclasses.replace(whole, truncated=True, **cut)

    def is_beyond(self, length: int) -> bool:
        """Whether a prompt of so many tokens does not fit the context."""
        return 0 < self.context < length

    def bucket(self, length: int) -> int:
        """The first bucket that holds a length; beyond the last, a multiple of it."""
        for bucket in self.buckets:
            if length <= bucket:
                return bucket
        return -(-length // self.buckets[-1]) * self.buckets[-1]

    def put(self, rows: Sequence["RowTokens"], length: int) -> dict[str, jax.Array]:
        """Pieces, one per row and at most `batch_size`, as a batch on the devices."""
        rows = [*rows, *[rows[-1]] * (self.batch_size - len(rows))]
        batch = collate(rows, length)
        per_process = len(rows) // jax.process_count()
        start = jax.process_index() * per_process
        own = {key: x[start : start + per_process] for key, x in batch.items()}
        return put_batch(self.mesh, own)


class RowTokens(NamedTuple):
    """A stretch of tokens for one row.

    Attributes:
        tokens: i32[n] ids; 0 at visual positions.
        visual_index: i32[n] into all visual tokens that the batch shares; -1 for text.
        segment_ids, positions: i32[n]; where they are None, one segment that counts up.
        targets, loss_mask: the token after each, and whether it counts.
    """

    tokens: np.ndarray
    visual_index: np.ndarray | None = None
    segment_ids: np.ndarray | None = None
    positions: np.ndarray | None = None
    targets: np.ndarray | None = None
    loss_mask: np.ndarray | None = None


def collate(rows: Sequence[RowTokens], length: int) -> dict[str, np.ndarray]:
    """Pieces, right padded, as the arrays of the row contract.

    Pieces [5, 6] and [7], length 3:

        tokens       [5, 6, 0], [7, 0, 0]
        segment_ids  [1, 1, 0], [1, 0, 0]
        positions    [0, 1, 0], [0, 0, 0]

    Raises:
        ValueError: a piece is longer.
    """
    size = (len(rows), length)
    batch = {
        "tokens": np.zeros(size, np.int32),
        "visual_index": np.full(size, -1, np.int32),
        "segment_ids": np.zeros(size, np.int32),
        "positions": np.zeros(size, np.int32),
        "targets": np.zeros(size, np.int32),
        "loss_mask": np.zeros(size, bool),
    }
    defaults = {
        "segment_ids": np.ones_like,
        "positions": lambda tokens: np.arange(len(tokens)),
    }
    for row, piece in enumerate(rows):
        count = len(piece.tokens)
        for key, values in piece._asdict().items():
            if values is None and key in defaults:
                values = defaults[key](piece.tokens)
            if values is not None:
                batch[key][row, :count] = values
    return batch


def plan(lengths: Sequence[int], reader: Reader) -> list[list[int]]:
    """Groups records into batches of alike length.

    Lengths 10, 70, 12 with buckets (64, 128) and two rows a batch: [[0, 2], [1]].

    Args:
        lengths: tokens of each record.
        reader: its buckets and batch size.

    Returns:
        Indices of each batch.
    """
    groups: dict[int, list[int]] = {}
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        groups.setdefault(reader.bucket(lengths[index]), []).append(index)
    size = reader.batch_size
    return [
        indices[start : start + size]
        for _, indices in sorted(groups.items())
        for start in range(0, len(indices), size)
    ]


def fetch(array: jax.Array) -> np.ndarray:
    """All rows of a device array, the same on every process."""
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


_LEAST_BATCHES = 16  # ours


@functools.lru_cache(maxsize=8)
def make_encode(encode_images: Callable) -> Callable:
    """Makes the jitted encoder of a model; the same argument shares one.

    Returns:
        encode(params, table, images u8[B, H, W, 3], start) -> table [N, P, D] with
        the visual tokens of the images from row `start` on, whole on every device.
    """

    def encode(params, table, images, start):
        tokens = encode_images(params, images).astype(table.dtype)
        tokens = jax.lax.with_sharding_constraint(tokens, PartitionSpec())
        return jax.lax.dynamic_update_slice(table, tokens, (start, 0, 0))

    return jax.jit(encode, donate_argnums=1)


@functools.lru_cache(maxsize=64)
def make_empty(shape: tuple[int, ...], dtype, sharding: NamedSharding) -> Callable:
    """Makes the jitted () -> zeros; a function per call would compile per call."""
    return jax.jit(lambda: jnp.zeros(shape, dtype), out_shardings=sharding)


class Features:
    """The visual tokens of some images, on every device.

    Attributes:
        table: [N, P, D]; N is a power of two times the batch size, 16 at least, so
            that few shapes occur.
    """

    def __init__(self, reader: Reader):
        self._reader = reader
        self._place: dict[bytes, int] = {}
        self.table: jax.Array | None = None

    def hold(self, pictures: Iterable[bytes]) -> None:
        """Encodes the images, unless all of them are held already.

        Raises:
            UserError: an image cannot be decoded.
        """
        wanted = dict.fromkeys(pictures)
        if self.table is not None and wanted.keys() <= self._place.keys():
            return
        table = self._empty(len(wanted))
        encode = make_encode(self._reader.model.encode_images)
        every, size = list(wanted), self._reader.batch_size
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(every), size):
                images = self._put(every[start : start + size], pool)
                table = encode(self._reader.params, table, images, start)
        self._place = {picture: place for place, picture in enumerate(every)}
        self.table = table

    def _put(self, pictures: Sequence[bytes], pool: Executor) -> jax.Array:
        """u8[B, H, W, 3] of up to B images; each process decodes its own."""
        side = self._reader.image_size
        count = self._reader.batch_size // jax.process_count()
        first = jax.process_index() * count
        images = np.zeros((count, side, side, 3), np.uint8)
        own = pictures[first : first + count]
        shown = pool.map(lambda data: preprocess(data, side), own)
        for place, image in enumerate(shown):
            images[place] = image
        return put_batch(self._reader.mesh, {"images": images})["images"]

    def _empty(self, number):
        reader = self._reader
        side, rows = reader.image_size, _LEAST_BATCHES * reader.batch_size
        while rows < number:
            rows *= 2
        one = jax.ShapeDtypeStruct((reader.batch_size, side, side, 3), jnp.uint8)
        like = jax.eval_shape(reader.model.encode_images, reader.params, one)
        whole = NamedSharding(reader.mesh, PartitionSpec())
        shape = (rows, *like.shape[1:])
        return make_empty(shape, like.dtype, whole)()

    def row_tokens(self, encoded: Encoded, start: int = 0) -> RowTokens:
        """The tokens of a record from `start` on, pointing into the table."""
        per_image = self._reader.tokens_per_image
        places = np.array([self._place[p] for p in encoded.images] or [0], np.int32)
        index = encoded.visual_index[start:]
        slot, offset = np.divmod(np.maximum(index, 0), per_image)
        index = np.where(index >= 0, places[slot] * per_image + offset, -1)
        return RowTokens(encoded.tokens[start:], index.astype(np.int32))
