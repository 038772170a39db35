"""How long each record of a split is, computed once and kept beside the shards."""

import hashlib
import io
import logging

import numpy as np
from etils import epath
from tqdm import tqdm

from babyvlm_jax.data.conversation import encode
from babyvlm_jax.data.files import write_atomically
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
    how = (
        source.fingerprint,
        tokenizer.fingerprint,
        template,
        tokens_per_image,
        dedupe_images,
    )
    key = hashlib.sha256(repr(how).encode()).hexdigest()[:16]
    name = f"{source.name}-{source.split}-{key}.npy"
    path = epath.Path(source.shards) / ".lengths" / name
    if path.exists():
        return np.load(io.BytesIO(path.read_bytes()))
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
    out = io.BytesIO()
    np.save(out, lengths)
    try:
        write_atomically(path, out.getvalue())
    except OSError as error:
        logging.warning("lengths are not kept for the next run: %s", error)
    return lengths
