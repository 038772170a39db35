"""What the audit keeps of an item: its questions and numbers about its pictures."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import numpy as np

from babyvlm_jax.data.questions import Question, questions_of
from babyvlm_jax.data.schema import ASSISTANT, Record, RecordSource
from data_prep.devcv.audit import looks

CANVASES = ("count", "subitize", "compare_synthetic")
# Mean difference (0..255, at 32 pixels) below which two pictures count as one; ours:
# what saving a picture again as a JPEG changes.
NEAR = 3.0


@dataclasses.dataclass(frozen=True)
class Facts:
    """One item.

    Attributes:
        id: of the record.
        group: its recording, or itself: what cross-validation keeps together.
        origins: recordings and instances it was made from, as far as it says.
        rounds: its questions.
        told: the assistant's turns, as they stand there.
        digests: u64[M] of the pictures' files.
        thumbs: u8[M, 8, 8, 3].
        features: f32[M, D].
        quadrants: f32[4, D] of the parts of its picture, if it has a single one.
        apart: for each round, f32[K, K] differences of its option pictures.
        from_query: for each round, f32[K] difference of each option from the query, or
            from the likest picture of an earlier round; empty where there is neither.
        unlike: the same by the matcher (`looks.unlikeness`).
        canvas: f32[M, 3], see `looks.canvas`; only of tasks that draw canvases.
    """

    id: str
    group: str
    origins: tuple[tuple[str, str], ...]
    rounds: tuple[Question, ...]
    told: tuple[str, ...]
    digests: np.ndarray
    thumbs: np.ndarray
    features: np.ndarray
    quadrants: np.ndarray
    apart: tuple[np.ndarray, ...]
    from_query: tuple[np.ndarray, ...]
    unlike: tuple[np.ndarray, ...]
    canvas: np.ndarray


def read_chunk(
    shards: str, name: str, split: str, task: str, indices: Sequence[int]
) -> list[Facts]:
    """Facts of some records of a dataset; runs in a worker process."""
    records = _opened(shards, name, split).read(indices)
    return [facts_of(record, task) for record in records]


@functools.lru_cache(maxsize=1)
def _opened(shards, name, split) -> RecordSource:
    return RecordSource(shards, name, split)


def facts_of(record: Record, task: str) -> Facts:
    """Measures one item."""
    pictures = [looks.decoded(image) for image in record.images]
    shape = (0, looks.SIDE, looks.SIDE, 3)
    thumbs = np.array([looks.thumbnail(p) for p in pictures] or np.zeros(shape))
    thumbs = thumbs.astype(np.float32)
    rounds = questions_of(record)
    recordings = [str(one) for one in record.meta.get("recordings", ())]
    instances = [str(one) for one in record.meta.get("instances", ())]
    sizes = np.array([p.size for p in pictures] or np.zeros((0, 2)), float)
    lengths = np.array([len(image) for image in record.images], float)
    canvases = [looks.canvas(p) for p in pictures] if task in CANVASES else []
    measured = _measured(rounds, thumbs)
    return Facts(
        id=record.id,
        group=recordings[0] if recordings else record.id,
        origins=(
            *(("recording", one) for one in recordings),
            *(("instance", one) for one in instances),
        ),
        rounds=rounds,
        told=tuple(text for role, text in record.turns if role == ASSISTANT),
        digests=np.array([_digest(image) for image in record.images], np.uint64),
        thumbs=looks.small(thumbs),
        features=looks.features(thumbs, lengths, sizes),
        quadrants=_quadrants(thumbs),
        apart=tuple(apart for apart, _, _ in measured),
        from_query=tuple(near for _, near, _ in measured),
        unlike=tuple(unlike for _, _, unlike in measured),
        canvas=np.array(canvases, np.float32).reshape(-1, 3),
    )


def _digest(image: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(image, digest_size=8).digest(), "little")


def _quadrants(thumbs) -> np.ndarray:
    """Features of the quadrants, in the order in which Localization asks for them."""
    if len(thumbs) != 1:
        return np.zeros((0, len(looks.FEATURES)), np.float32)
    half = looks.SIDE // 2
    parts = [
        thumbs[0, y : y + half, x : x + half] for y in (0, half) for x in (0, half)
    ]
    ones = np.ones(4)
    return looks.features(np.stack(parts), ones, np.ones((4, 2)))


def _measured(rounds, thumbs):
    """Of each round: `apart`, `from_query` and `unlike` of `Facts`."""
    if not any(one.options for one in rounds):
        nothing = np.zeros(0, np.float32)
        return [(np.zeros((0, 0), np.float32), nothing, nothing) for _ in rounds]
    differences, unlike = looks.differences(thumbs), looks.unlikenesses(thumbs)
    return [_round_measured(one, differences, unlike) for one in rounds]


def _round_measured(one: Question, differences, unlike):
    options = list(one.options)
    apart = differences[np.ix_(options, options)]
    others = list(one.queries) or list(range(options[0] if options else 0))
    if not others:
        nothing = np.zeros(0, np.float32)
        return apart, nothing, nothing
    pairs = np.ix_(options, others)
    return apart, differences[pairs].min(axis=1), unlike[pairs].min(axis=1)
