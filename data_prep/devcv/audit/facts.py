"""What the audit keeps of an item: its questions and numbers about its images.

Axes: M images, S side of a thumbnail, D features.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import scipy.ndimage
import scipy.spatial
from PIL import Image

from babyvlm_jax.data.images import read_image
from babyvlm_jax.data.questions import Question, questions_of
from babyvlm_jax.data.schema import ASSISTANT, Record, RecordSource
from data_prep.devcv.tasks import TASKS

# Mean difference (0..255, at 32 pixels) below which two pictures count as one; ours:
# what saving a picture again as a JPEG changes.
NEAR = 3.0
SIDE = 32
SMALL = 8  # side of the thumbnails that are compared between items
BLACK = 24  # of 255, all channels: the background of a canvas, compressed
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
BINS = 8  # of a channel's histogram
FEATURES = (
    *("log bytes", "log pixels", "log shape"),
    *("red", "green", "blue", "red spread", "green spread", "blue spread"),
    *("edges", "saturation", "black", "off centre", "rim"),
)


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


_opened = functools.lru_cache(maxsize=1)(RecordSource)


def read_chunk(
    shards: str, name: str, split: str, task: str, indices: Sequence[int]
) -> tuple[str, list[Facts]]:
    """The split, and facts of some of its records; runs in a worker process."""
    records = _opened(shards, name, split).read(indices)
    return split, [facts_of(record, task) for record in records]


def facts_of(record: Record, task: str) -> Facts:
    """Measures one item."""
    pictures = [decoded(image) for image in record.images]
    thumbs = np.array([*map(thumbnail, pictures)], np.float32)
    thumbs = thumbs.reshape(-1, SIDE, SIDE, 3)
    rounds = questions_of(record)
    recordings, instances = (
        [str(one) for one in record.meta.get(key, ())]
        for key in ("recordings", "instances")
    )
    sizes = np.array([p.size for p in pictures], float).reshape(-1, 2)
    lengths = np.array([*map(len, record.images)], float)
    canvases = [*map(canvas, pictures)] if TASKS[task].on_canvas else []
    apart, from_query, unlike = zip(*_measured(rounds, thumbs), strict=True)
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
        thumbs=small(thumbs),
        features=features(thumbs, lengths, sizes),
        quadrants=_quadrants(thumbs),
        apart=apart,
        from_query=from_query,
        unlike=unlike,
        canvas=np.array(canvases, np.float32).reshape(-1, 3),
    )


def _digest(image: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(image, digest_size=8).digest(), "little")


def _quadrants(thumbs) -> np.ndarray:
    """Features of the quadrants, in the order in which Localization asks for them."""
    if len(thumbs) != 1:
        return np.zeros((0, len(FEATURES)), np.float32)
    rows = np.stack(np.split(thumbs[0], 2))  # [2, S / 2, S, 3]
    parts = np.concatenate([np.split(row, 2, axis=1) for row in rows])
    return features(parts, np.ones(4), np.ones((4, 2)))


def _measured(rounds, thumbs):
    """Of each round: `apart`, `from_query` and `unlike` of `Facts`."""
    nothing = np.zeros(0, np.float32)
    if not any(one.options for one in rounds):
        return [(np.zeros((0, 0), np.float32), nothing, nothing)] * len(rounds)
    apart, unlike = differences(thumbs), unlikenesses(thumbs)
    found = []
    for one in rounds:
        options = list(one.options)
        others = list(one.queries) or list(range(options[0] if options else 0))
        pairs = np.ix_(options, others)
        near = [
            each[pairs].min(axis=1) if others else nothing for each in (apart, unlike)
        ]
        found.append((apart[np.ix_(options, options)], *near))
    return found


def decoded(image: bytes) -> Image.Image:
    """The picture in RGB; a large JPEG at a fraction of its size."""
    return read_image(image, 4 * SIDE)


def thumbnail(picture: Image.Image) -> np.ndarray:
    """f32[S, S, 3] in 0..255, whatever the shape of the picture."""
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def luminance(thumbnails: np.ndarray) -> np.ndarray:
    """f32[M, S, S] of f32[M, S, S, 3]; its last bits differ between processors."""
    return thumbnails @ LUMINANCE


def small(thumbnails: np.ndarray) -> np.ndarray:
    """u8[M, 8, 8, 3] of f32[M, S, S, 3], whose values are whole: exact everywhere."""
    step = SIDE // SMALL
    blocks = thumbnails.reshape(-1, SMALL, step, SMALL, step, 3)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)


def differences(thumbnails: np.ndarray) -> np.ndarray:
    """Mean absolute difference (0..255) of any two, f32[M, M]."""
    return _apart(thumbnails.reshape(len(thumbnails), -1))


def unlikenesses(thumbnails: np.ndarray) -> np.ndarray:
    """How far any two are apart for a matcher that knows nothing, f32[M, M].

    Half from luminance, pixel by pixel, half from histograms of the colours.

    Source: spec of BabyVLM-V2, section 7: 32x32 luminance and RGB histogram.
    """
    grey = luminance(thumbnails).reshape(len(thumbnails), -1) / 255
    colours = np.array([_histogram(one) for one in thumbnails])
    return _apart(grey) + _apart(colours) / 2


def _apart(rows: np.ndarray) -> np.ndarray:
    apart = scipy.spatial.distance.cdist(rows, rows, "cityblock") / rows.shape[1]
    return apart.astype(np.float32)


def _histogram(thumbnail) -> np.ndarray:
    """f64[3 * BINS], each channel's share of pixels, times BINS."""
    bins = (thumbnail // (256 / BINS)).astype(int).reshape(-1, 3)
    counts = np.bincount((bins + BINS * np.arange(3)).ravel(), minlength=3 * BINS)
    return counts * (BINS / len(bins))


def features(
    thumbnails: np.ndarray, num_bytes: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Plain features of pictures, in the order of `FEATURES`.

    Args:
        thumbnails: f32[M, S, S, 3].
        num_bytes: of each file, [M].
        sizes: [M, 2] width and height of each picture.

    Returns:
        f32[M, D].
    """
    grey = luminance(thumbnails)
    spread = thumbnails.std(axis=(1, 2))
    down, right = (np.abs(np.diff(grey, axis=axis)) for axis in (1, 2))
    edges = down[:, :, :-1] + right[:, :-1]
    rim = np.concatenate(
        [grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1
    )
    columns = [
        np.log(num_bytes),
        np.log(sizes.prod(axis=1)),
        np.log(sizes[:, 0] / sizes[:, 1]),
        *thumbnails.mean(axis=(1, 2)).T,
        *spread.T,
        edges.mean(axis=(1, 2)),
        np.ptp(thumbnails, axis=3).mean(axis=(1, 2)),
        (thumbnails.max(axis=3) < BLACK).mean(axis=(1, 2)),
        _off_centre(edges),
        rim.std(axis=1),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _off_centre(edges) -> np.ndarray:
    """Distance of the edges' centre of mass from the middle, [M]."""
    total = edges.sum(axis=(1, 2)) + 1e-6
    place = np.linspace(-1, 1, edges.shape[1])
    x = (edges.sum(axis=1) * place).sum(axis=1) / total
    y = (edges.sum(axis=2) * place).sum(axis=1) / total
    return np.hypot(x, y)


def canvas(picture: Image.Image) -> tuple[float, float, float]:
    """How large the things on a black canvas are.

    Returns:
        Share of the canvas that is black; share that things cover; side of a thing as a
        fraction of the canvas's: that of the lower quartile, as things that touch count
        as one.
    """
    pixels = np.asarray(picture)
    covered = (pixels > BLACK).any(axis=2)
    labels, count = scipy.ndimage.label(covered)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    areas = areas[areas > covered.size / 2000]  # not the noise of compression
    side = np.sqrt(np.quantile(areas, 0.25) / covered.size) if len(areas) else 0.0
    ink = float(covered.mean())
    return 1 - ink, ink, float(side)
