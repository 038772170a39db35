"""Embeddings of a split's pictures, computed once and kept part by part on disk."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError
from data_prep.jobs import write_whole
from data_prep.stages.embedding import Batches

PART = 4096  # pictures of a file


def picture_embeddings(
    folder: Path,
    source: RecordSource,
    numbers: Sequence[int],
    batches: Batches,
    facts: Mapping[str, Any],
) -> np.ndarray:
    """Embeds the pictures of some records, or reads what was embedded before.

    Args:
        folder: that keeps them; a folder in it is made for this set of pictures.
        source: records of one picture each.
        numbers: which records.
        batches: computes.
        facts: what the embedder is, JSON-able: with other facts all is made anew.

    Returns:
        f32[N, D] of unit norm, in the order of `numbers`.

    Raises:
        UserError: a record has not exactly one picture, or the embedder fails.
    """
    numbers = np.asarray(numbers, np.int64)
    said = json.dumps([source.fingerprint, source.name, source.split, dict(facts)])
    digest = hashlib.sha256(said.encode() + numbers.tobytes()).hexdigest()[:16]
    place = folder / digest
    place.mkdir(parents=True, exist_ok=True)
    parts = []
    bar = tqdm(total=len(numbers), desc=f"embedding {source.name}", unit="picture")
    with bar:
        for first in range(0, len(numbers), PART):
            path = place / f"{first // PART:05d}.npy"
            if not path.exists():
                wanted = numbers[first : first + PART].tolist()
                found = batches.pictures(_pictures(source, wanted))
                out = io.BytesIO()
                np.save(out, found, allow_pickle=False)
                write_whole(path, out.getvalue())
            parts.append(np.load(path, allow_pickle=False))
            bar.update(len(parts[-1]))
    return np.concatenate(parts)


def _pictures(source, numbers) -> list[bytes]:
    records = source.read(numbers)
    for record in records:
        if len(record.images) != 1:
            raise UserError(
                f"record {record.id!r} of {source.name!r} has {len(record.images)} "
                "pictures; expected pairs of one picture and an utterance"
            )
    return [record.images[0] for record in records]
