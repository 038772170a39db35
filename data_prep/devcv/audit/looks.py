"""What the audit measures of pictures: thumbnails and plain features.

Axes: M pictures, S side of a thumbnail, D features.
"""

import numpy as np
import scipy.ndimage
import scipy.spatial
from PIL import Image

from babyvlm_jax.data.images import read_image

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
    bins = bins + BINS * np.arange(3)
    counts = np.bincount(bins.ravel(), minlength=3 * BINS)
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
    edges = np.abs(np.diff(grey, axis=1))[:, :, :-1]
    edges = edges + np.abs(np.diff(grey, axis=2))[:, :-1]
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
    ink = float(covered.mean())
    if not len(areas):
        return 1 - ink, ink, 0.0
    side = np.sqrt(np.quantile(areas, 0.25) / covered.size)
    return 1 - ink, ink, float(side)
