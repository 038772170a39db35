"""Which moments of a video become pictures, and the pictures themselves."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from babyvlm_jax.data.images import encode_jpeg
from data_prep.video import read_frames


def times_at_rate(from_s: float, to_s: float, fps: float) -> list[float]:
    """Moments at a fixed rate, the first at the beginning.

    From 0.2 s to 3.4 s at 1 fps: 0.2, 1.2, 2.2, 3.2; ceil(3.2) = 4 moments, as the
    frame numbers of the authors' own files have it (spec section 1.2).
    """
    # 1e-6: 3.0000000004 s at 1 fps are three moments.
    count = max(math.ceil((to_s - from_s) * fps - 1e-6), 1)
    return [from_s + index / fps for index in range(count)]


def times_spread(from_s: float, to_s: float, count: int) -> list[float]:
    """The middles of `count` equal parts: 0 to 4 s in 4 is 0.5, 1.5, 2.5, 3.5."""
    part_s = (to_s - from_s) / count
    return [from_s + (index + 0.5) * part_s for index in range(count)]


def shrunk_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """(width, height) with the longer side at most `max_side`, same proportions."""
    scale = min(max_side / max(width, height), 1.0)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def encode_frames(
    video: Path,
    indices: Iterable[int],
    max_side: int,
    quality: int,
    skipped: list[int],
) -> dict[int, bytes]:
    """Reads frames once and stores them as JPEG.

    Args:
        video: the file.
        indices: wanted frames, any order.
        max_side: longer pictures are shrunk.
        quality: of the JPEG.
        skipped: receives the indices that could not be decoded.

    Returns:
        frame index -> JPEG file.

    Raises:
        UserError: the video is missing or cut short.
    """
    encoded = {}
    for index, array in read_frames(video, indices, skipped):
        height, width, _ = array.shape
        size = shrunk_size(width, height, max_side)
        if size != (width, height):
            image = Image.fromarray(array).resize(size, Image.Resampling.BILINEAR)
            array = np.asarray(image)
        encoded[index] = encode_jpeg(array, quality=quality)
    return encoded
