"""What turns pictures and texts into vectors: the plug point of filter and matching.

An embedder is named `NAME@CHECKPOINT`. NAME is one of `EMBEDDERS`, or the
`module:attribute` of a factory: a function of the checkpoint (whatever stands behind
the first `@`, empty if nothing does) that gives an `Embedder`.
Axes: N items, S side, D width.
"""

import concurrent.futures
import dataclasses
import hashlib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from absl import logging

from babyvlm_jax.data.images import preprocess
from babyvlm_jax.runtime.errors import UserError

# name -> "module:attribute"; imported only when it is asked for
EMBEDDERS = {
    "clip": "babyvlm_jax.embedding:load_pair_model",  # imported by `convert`
    "pairs": "babyvlm_jax.embedding:load_pair_model",  # trained by `loss="contrastive"`
}
NORM_ERROR = 0.01  # ours: what bfloat16 makes of a unit norm, and some more


class Embedder(Protocol):
    """Two towers that put pictures and texts into one space."""

    def image_embeddings(self, images: np.ndarray) -> np.ndarray:
        """u8[N, S, S, 3] -> f32[N, D] of unit norm."""
        ...

    def text_embeddings(self, texts: list[str]) -> np.ndarray:
        """N texts -> f32[N, D] of unit norm."""
        ...


def is_embedder(spec: str) -> bool:
    """Whether a spec has the form of one; says nothing of what it names."""
    name, _, _ = spec.partition("@")
    return name in EMBEDDERS or ":" in name


def make_embedder(spec: str) -> Embedder:
    """The embedder called `NAME@CHECKPOINT`.

    Raises:
        UserError: there is no such name, module or attribute.
    """
    name, _, checkpoint = spec.partition("@")
    if not is_embedder(spec):
        raise UserError(
            f"no embedder {name!r}; give one of {sorted(EMBEDDERS)} or "
            "module:attribute, and @CHECKPOINT behind it if it takes one"
        )
    module, _, attribute = EMBEDDERS.get(name, name).partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"embedder {name!r}: {error}; check module:attribute") from None
    logging.set_verbosity(logging.ERROR)  # Orbax tells each of its steps
    return factory(checkpoint)


def embedder_facts(spec: str) -> dict[str, str]:
    """Name, checkpoint, and a hash of the checkpoint's files (empty if it has none)."""
    name, _, checkpoint = spec.partition("@")
    return {
        "embedder": name,
        "checkpoint": checkpoint,
        "weights": _hash_files(Path(checkpoint)) if checkpoint else "",
    }


def _hash_files(path: Path) -> str:
    files = sorted(p for p in (path, *path.rglob("*")) if p.is_file())
    if not files:  # a name that the embedder understands
        return ""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{file.relative_to(path)} {found}\n".encode())
    return whole.hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Batches:
    """An embedder asked for batches of one size, so that it compiles once.

    Attributes:
        embedder: what to ask.
        image_size: S, the side that pictures get (padded to a square, not cropped).
        batch_size: N of every call; what is missing of the last one is repeated.
    """

    embedder: Embedder
    image_size: int = 224
    batch_size: int = 256

    def pictures(self, files: Sequence[bytes]) -> np.ndarray:
        """Encoded pictures -> f32[n, D].

        Raises:
            UserError: one cannot be decoded, or the embedder gives something else.
        """
        with concurrent.futures.ThreadPoolExecutor() as pool:

            def embed(batch):
                sizes = [self.image_size] * len(batch)
                decoded = list(pool.map(preprocess, batch, sizes))
                return self.embedder.image_embeddings(np.stack(decoded))

            return self._each(files, embed)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> f32[n, D]; equal ones are embedded once.

        Raises:
            UserError: the embedder gives something else.
        """
        distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        found = self._each(list(distinct), self.embedder.text_embeddings)
        return found[[distinct[text] for text in texts]]

    def _each(self, items: Sequence, embed: Callable[[list], np.ndarray]) -> np.ndarray:
        parts = []
        for first in range(0, len(items), self.batch_size):
            batch = list(items[first : first + self.batch_size])
            missing = self.batch_size - len(batch)
            found = np.asarray(embed(batch + batch[-1:] * missing), np.float32)
            _check(found, self.batch_size)
            parts.append(found[: len(batch)])
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _check(found: np.ndarray, count: int) -> None:
    if found.ndim != 2 or len(found) != count:
        raise UserError(
            f"the embedder gave {found.shape} for {count} items, not [N, D]"
        )
    norms = np.linalg.norm(found, axis=1)
    if not np.all(np.abs(norms - 1) < NORM_ERROR):  # NaN fails too
        raise UserError(
            f"the embedder gave vectors of norm {norms.min():.3g} to "
            f"{norms.max():.3g}; expected unit norm"
        )
