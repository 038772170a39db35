"""Visual tokens of pictures: a picture that occurs twice is encoded once.

Axes: N pictures, P visual tokens an image, D decoder width.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.images import preprocess
from babyvlm_jax.evals.reader import Piece, Reader
from babyvlm_jax.sharding import put_batch

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
    """The visual tokens of some pictures, on every device.

    Attributes:
        table: [N, P, D]; N is a power of two times the batch size, 16 at least, so
            that few shapes occur.
    """

    def __init__(self, reader: Reader):
        self._reader = reader
        self._place: dict[bytes, int] = {}
        self.table: jax.Array | None = None

    def hold(self, pictures: Iterable[bytes]) -> None:
        """Encodes the pictures, unless all of them are held already.

        Raises:
            UserError: a picture cannot be decoded.
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
        """u8[B, H, W, 3] of up to B pictures; each process decodes its own."""
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

    def piece(self, encoded: Encoded, start: int = 0) -> Piece:
        """The tokens of a record from `start` on, pointing into the table."""
        per_image = self._reader.tokens_per_image
        places = np.array([self._place[p] for p in encoded.images] or [0], np.int32)
        index = encoded.visual_index[start:]
        slot, offset = np.divmod(np.maximum(index, 0), per_image)
        index = np.where(index >= 0, places[slot] * per_image + offset, -1)
        return Piece(encoded.tokens[start:], index.astype(np.int32))
