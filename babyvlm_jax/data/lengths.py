"""How long each record of a split is, computed once and kept beside the shards."""

import array
import hashlib
import io
import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from etils import epath
from tqdm import tqdm

from babyvlm_jax.data.conversation import Encoded, Stop, encode
from babyvlm_jax.data.packing import Capacity, fits
from babyvlm_jax.data.record_files import HASH_BYTES, hash_record
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.files import write_atomically


class Lengths(NamedTuple):
    """Of N records, as they are laid into rows.

    Attributes:
        sizes: i32[N, 2] tokens (visual ones included) and distinct images.
        truncated: bool[N] long records that lose their last turns. One of which not
            even the first answer fits keeps its whole length, and is not truncated.
        teaches: bool[N] some word of the answers is known to the tokenizer. One that
            is not would teach no more than to say <eos>.
    """

    sizes: np.ndarray
    truncated: np.ndarray
    teaches: np.ndarray


class Stops(NamedTuple):
    """Where N records may be cut: at the end of each answer, and at their own end.

    Attributes:
        starts: i64[N] where the stops of a record begin in the other arrays.
        sizes: i32[E, 2] tokens and distinct images up to a stop.
        words: i32[E] known words of answers up to a stop; 0 if none is supervised.
    """

    starts: np.ndarray
    sizes: np.ndarray
    words: np.ndarray

    def in_rows(self, capacity: Capacity) -> Lengths:
        """The records cut to fit rows of `capacity`, as `conversation.encode` does.

        A record with stops at 6 and 12 tokens is 12 tokens long in rows of 15, 6 and
        truncated in rows of 10, 12 and too long in rows of 5.
        """
        own_ends = np.append(self.starts[1:], len(self.sizes)) - 1
        places = np.where(fits(self.sizes, capacity), np.arange(len(self.sizes)), -1)
        last = np.maximum.reduceat(places, self.starts)
        chosen = np.where(last >= 0, last, own_ends)
        return Lengths(self.sizes[chosen], chosen < own_ends, self.words[chosen] > 0)

    def whole(self) -> Lengths:
        """The records as they are."""
        most = np.iinfo(np.int32).max
        return self.in_rows(Capacity(most, most))

    def take(self, records: np.ndarray) -> "Stops":
        """Those of some records, i64[n], in that order."""
        own_ends = np.append(self.starts[1:], len(self.sizes))
        runs = [np.arange(self.starts[i], own_ends[i]) for i in records.tolist()]
        counts = np.array([len(run) for run in runs], np.int64)
        members = np.concatenate([np.zeros(0, np.int64), *runs])
        starts = np.cumsum(counts) - counts
        return Stops(starts, self.sizes[members], self.words[members])


def join(parts: Sequence[Stops]) -> Stops:
    """The records of several splits, one after the other; at least one split."""
    ends = np.cumsum([len(part.sizes) for part in parts])
    moved = [
        part.starts + end - len(part.sizes)
        for part, end in zip(parts, ends, strict=True)
    ]
    return Stops(
        np.concatenate(moved),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.words for part in parts]),
    )


def record_stops(
    source: RecordSource,
    tokenizer: Tokenizer,
    template: str,
    tokens_per_image: int,
    dedupe_images: bool,
) -> Stops:
    """The stops of all records; kept in `SHARDS/.lengths/`.

    Args:
        source: the split.
        tokenizer: as in `conversation.encode`, like the arguments that follow.
    """
    how = (template, tokens_per_image, dedupe_images)
    key = repr(("stops", source.fingerprint, tokenizer.fingerprint, *how))
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = epath.Path(source.shards) / ".lengths"
    path /= f"{source.name}-{source.split}-{name}.npy"
    if (kept := _read_kept(path)) is not None:
        return _as_stops(kept)
    found = array.array("i")
    task = f"measure {source.name}/{source.split}"
    for number, record in enumerate(tqdm(source, task, leave=False, delay=2)):
        encoded = encode(record, tokenizer, *how[:2], dedupe_images=dedupe_images)
        for stop in stops(encoded):
            found.extend((number, *stop))
    columns = np.array(found, np.int32).reshape(-1, 4)
    out = io.BytesIO()
    np.save(out, columns)
    try:
        write_atomically(path, hash_record(out.getvalue()) + out.getvalue())
    except OSError as error:
        logging.warning("lengths are not kept for the next run: %s", error)
    return _as_stops(columns)


def _read_kept(path: epath.Path) -> np.ndarray | None:
    """What was kept, unless it is not as it was written."""
    data = path.read_bytes() if path.exists() else b""
    if hash_record(data[HASH_BYTES:]) != data[:HASH_BYTES]:
        return None
    return np.load(io.BytesIO(data[HASH_BYTES:]))


def _as_stops(columns: np.ndarray) -> Stops:
    """i32[E, 4] record, tokens, images, words -> the same by record."""
    starts = np.flatnonzero(np.diff(columns[:, 0], prepend=-1))
    return Stops(starts, columns[:, 1:3], columns[:, 3])


def stops(encoded: Encoded) -> list[Stop]:
    """Where a record may be cut, its own end included; see `Stops`."""
    found = list(encoded.stops)
    if not found or found[-1].tokens < len(encoded.tokens):
        words = found[-1].words if found else 0
        found.append(Stop(len(encoded.tokens), len(encoded.images), words))
    supervised = np.append(0, np.cumsum(encoded.loss_mask))
    return [
        stop if supervised[stop.tokens] else stop._replace(words=0) for stop in found
    ]
