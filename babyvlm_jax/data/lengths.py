"""How long each record of a split is, computed once and kept beside the shards."""

import hashlib
import io
import logging
from collections.abc import Callable

import numpy as np
from etils import epath
from tqdm import tqdm

from babyvlm_jax.data.conversation import DoesNotFit, encode
from babyvlm_jax.data.files import write_atomically
from babyvlm_jax.data.packing import Capacity, fits
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.tokenizer import Tokenizer


def record_lengths(
    source: RecordSource,
    tokenizer: Tokenizer,
    template: str,
    tokens_per_image: int,
    dedupe_images: bool,
) -> np.ndarray:
    """Lengths of all records; kept in `SHARDS/.lengths/`.

    Args:
        source: the split.
        tokenizer: as in `conversation.encode`, like the arguments that follow.

    Returns:
        i32[N, 2] tokens (visual ones included) and distinct images.
    """
    how = (template, tokens_per_image, dedupe_images)

    def measure():
        lengths = np.empty((len(source), 2), np.int32)
        task = f"measure {source.name}/{source.split}"
        for i, record in enumerate(tqdm(source, task, leave=False, delay=2)):
            encoded = encode(
                record,
                tokenizer,
                template,
                tokens_per_image,
                dedupe_images=dedupe_images,
            )
            lengths[i] = len(encoded.tokens), len(encoded.images)
        return lengths

    return _kept(source, (source.fingerprint, tokenizer.fingerprint, *how), measure)


def lengths_in_rows(
    source: RecordSource,
    tokenizer: Tokenizer,
    template: str,
    tokens_per_image: int,
    dedupe_images: bool,
    capacity: Capacity,
) -> tuple[np.ndarray, np.ndarray]:
    """Lengths as they are laid into rows: long records lose their last turns.

    Args:
        source, tokenizer, template, tokens_per_image, dedupe_images: as
            `record_lengths`.
        capacity: what a row holds.

    Returns:
        lengths i32[N, 2] and truncated bool[N]. A record of which not even the first
        answer fits keeps its whole length, and is not truncated.
    """
    how = (template, tokens_per_image, dedupe_images)
    lengths = record_lengths(source, tokenizer, *how).copy()
    long = np.flatnonzero(~fits(lengths, capacity))

    def cut():
        shorter = lengths[long]
        for place, number in enumerate(long.tolist()):
            try:
                encoded = encode(
                    source[number],
                    tokenizer,
                    template,
                    tokens_per_image,
                    dedupe_images=dedupe_images,
                    room=capacity,
                )
            except DoesNotFit:
                continue
            shorter[place] = len(encoded.tokens), len(encoded.images)
        return shorter

    if len(long):
        key = (source.fingerprint, tokenizer.fingerprint, *how, tuple(capacity))
        lengths[long] = _kept(source, key, cut)
    truncated = np.zeros(len(lengths), bool)
    truncated[long] = fits(lengths[long], capacity)
    return lengths, truncated


def _kept(
    source: RecordSource, how: tuple, compute: Callable[[], np.ndarray]
) -> np.ndarray:
    """What `compute` returns, from its file if there is one."""
    key = hashlib.sha256(repr(how).encode()).hexdigest()[:16]
    name = f"{source.name}-{source.split}-{key}.npy"
    path = epath.Path(source.shards) / ".lengths" / name
    if path.exists():
        return np.load(io.BytesIO(path.read_bytes()))
    array = compute()
    out = io.BytesIO()
    np.save(out, array)
    try:
        write_atomically(path, out.getvalue())
    except OSError as error:
        logging.warning("lengths are not kept for the next run: %s", error)
    return array
