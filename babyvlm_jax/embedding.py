"""Opens checkpoints: as a reader of records, or as two functions to unit vectors.

    model = load_pair_model("runs/cvcl", batch_size=64)
    model.image_embeddings(pictures) @ model.text_embeddings(["ball", "dog"]).T

CVCL, CLIP-style models trained here and imported CLIP are all used like this. Batches
are spread over the devices of the mesh, and a program compiles once for each tower.

Axes: N pictures or texts, S side in pixels, D width of the shared space.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from babyvlm_jax import sharding
from babyvlm_jax.data.pairs import encode_texts
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.reader import Reader, fetch
from babyvlm_jax.models.contrastive import PairModel
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import agreement, checkpoint

BATCH = 64  # ours: pictures a device embeds at a time


def load_reader(
    path: str,
    mesh: Mesh,
    batch_size: int,
    buckets: tuple[int, ...] = (),
    tokenizer: str = "",
) -> tuple[Reader, dict[str, Any]]:
    """Opens a checkpoint and its tokenizer; it reads records as it was trained to.

    Args:
        path: the work directory, or one of its `checkpoints/STEP`.
        mesh: the devices; the caller has set it.
        batch_size: rows of every batch, over all processes.
        buckets: lengths of prompts.
        tokenizer: file, if it was moved.

    Returns:
        The reader, and facts of the checkpoint.
    """
    model, params, info = checkpoint.load_model(path, mesh)
    data = info["config"]["data"]
    words, _ = checkpoint.load_tokenizer(info, tokenizer)
    agreement.check_reader(model, data, words, path)
    reader = Reader(
        model=model,
        params=params,
        tokenizer=words,
        template=data["template"],
        tokens_per_image=data["tokens_per_image"],
        image_size=data["image_size"],
        batch_size=batch_size,
        buckets=tuple(buckets),
        mesh=mesh,
        context=model.config.decoder.max_len,
    )
    return reader, info


def load_pair_model(
    path, mesh: Mesh | None = None, batch_size: int = 0, tokenizer: str = ""
) -> "PairEmbedder":
    """Opens the work directory of a contrastive phase or an imported CLIP.

    Args:
        path: the work directory, or one of its `checkpoints/STEP`.
        mesh: the devices; by default all, each with its own share of a batch.
        batch_size: pictures or texts a program takes, over all devices; a multiple of
            the devices along `data` and `fsdp`. 0 for 64 a device.
        tokenizer: file, if it was moved.

    Raises:
        UserError: no such checkpoint, no contrastive one, or no tokenizer.
    """
    mesh = mesh or sharding.make_mesh({"data": -1, "fsdp": 1, "tensor": 1})
    batch_size = batch_size or BATCH * mesh.size
    sharding.check_batch(batch_size, mesh)
    with jax.set_mesh(mesh):
        model, params, info = checkpoint.load_pair_model(path, mesh)
    data = info["config"]["data"]
    words, named = checkpoint.load_tokenizer(info, tokenizer)
    known = model.config.text.vocab_size
    if words.vocab_size > known:
        raise UserError(
            f"{named} has {words.vocab_size} ids, but the text tower of {path} knows "
            f"{known}; it is another model's tokenizer"
        )
    return PairEmbedder(model, params, words, data["seq_len"], batch_size, mesh, info)


class PairEmbedder:
    """A contrastive model with weights, and the way it reads texts.

    Attributes:
        image_size: side that pictures are brought to; others are resized.
        width: D.
        info: of the checkpoint: workdir, step, config, fingerprint.
    """

    def __init__(
        self,
        model: PairModel,
        params: Any,
        tokenizer: Tokenizer,
        num_tokens: int,
        batch_size: int,
        mesh: Mesh,
        info: dict[str, Any],
    ):
        self.image_size = model.vision.image_size
        self.width = model.config.embed_dim
        self.info = info
        self._params, self._tokenizer = params, tokenizer
        self._num_tokens, self._batch_size, self._mesh = num_tokens, batch_size, mesh
        self._images, self._texts, self._cosines = _programs(model)
        with jax.set_mesh(mesh):
            scale, _ = jax.jit(model.scales)(params)
        self.scale = float(scale)

    def image_embeddings(self, images: np.ndarray) -> np.ndarray:
        """uint8[N, S, S, 3] -> float32[N, D] of unit length.

        Pictures of another side than `image_size` are resized bicubically. They are
        looked at whole: pad or crop to a square before.
        """
        images = self._checked(images)
        return self._embedded(self._images, {"images": images})

    def text_embeddings(self, texts: Sequence[str]) -> np.ndarray:
        """N texts -> float32[N, D] of unit length; words beyond the limit are cut."""
        return self._embedded(self._texts, self._encoded(texts))

    def cosines(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """Cosine of each picture with the text of the same place.

        Args:
            images: uint8[N, S, S, 3].
            texts: N of them.

        Returns:
            float32[N].
        """
        images = self._checked(images)
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} pictures and {len(texts)} texts")
        batch = {"images": images, **self._encoded(texts)}
        return self._embedded(self._cosines, batch)

    def _checked(self, images):
        images = np.asarray(images)
        square = images.ndim == 4 and images.shape[1:] == (images.shape[1],) * 2 + (3,)
        if images.dtype != np.uint8 or not square:
            raise ValueError(
                f"pictures are {images.dtype}{list(images.shape)}, expected "
                "uint8[N, S, S, 3]"
            )
        return images

    def _encoded(self, texts):
        tokens, mask = encode_texts(self._tokenizer, texts, self._num_tokens)
        return {"tokens": tokens, "text_mask": mask}

    def _embedded(self, program: Callable, arrays) -> np.ndarray:
        with jax.set_mesh(self._mesh):
            found = [
                (program(self._params, batch), count)
                for count, batch in self._batches(arrays)
            ]
        if not found:
            empty = (0,) if program is self._cosines else (0, self.width)
            return np.zeros(empty, np.float32)
        return np.concatenate([fetch(rows)[:count] for rows, count in found])

    def _batches(self, arrays) -> Iterator[tuple[int, dict[str, jax.Array]]]:
        """Padded batches on the devices, and how many of their rows are real."""
        size, count = self._batch_size, len(next(iter(arrays.values())))
        share = size // jax.process_count()
        first = jax.process_index() * share
        for start in range(0, count, size):
            real = min(size, count - start)
            rows = start + np.minimum(np.arange(first, first + share), real - 1)
            own = {name: array[rows] for name, array in arrays.items()}
            yield real, sharding.put_batch(self._mesh, own)


@functools.lru_cache(maxsize=8)
def _programs(model: PairModel) -> tuple[Callable, Callable, Callable]:
    """Jitted (params, batch) -> embeddings of images, of texts, and their cosines."""
    side = model.vision.image_size

    def images(params, batch):
        x = batch["images"]
        if x.shape[1] != side:
            shape = (x.shape[0], side, side, 3)
            x = jax.image.resize(x / 255.0, shape, "cubic", antialias=True)
            x = jnp.clip(x, 0.0, 1.0)
        return model.embed_images(params, x)

    def texts(params, batch):
        return model.embed_texts(params, batch["tokens"], batch["text_mask"])

    def cosines(params, batch):
        return jnp.sum(images(params, batch) * texts(params, batch), axis=-1)

    return jax.jit(images), jax.jit(texts), jax.jit(cosines)
