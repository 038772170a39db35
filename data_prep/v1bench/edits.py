"""Pictures made from a frame by changing one thing in it: negatives of Winoground.

All take and give u8[H, W, 3] arrays; boxes are (x, y, width, height) in pixels.
"""

import colorsys

import numpy as np
from PIL import Image, ImageColor

from data_prep.devcv import items
from data_prep.nursery.shapes import COLOURS

HUE_TOLERANCE = 0.05  # of the circle; ours: orange and yellow are .057 apart
MIN_SATURATION = 0.3  # paler pixels are the room
MIN_CHANGED = 0.15  # of the box: less is not a thing of another colour
MARGIN = 0.5  # of the thing's longer side that a scene shows around it


def scene(pixels: np.ndarray, bbox) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The surroundings of a thing, and its box in them, in whole pixels."""
    pad = MARGIN * max(bbox[2], bbox[3])
    left, top = (max(int(bbox[k] - pad), 0) for k in (0, 1))
    window = items.window(
        pixels, (left, top, bbox[0] + bbox[2] + pad, bbox[1] + bbox[3] + pad)
    )
    x, y = int(bbox[0]) - left, int(bbox[1]) - top
    right = min(int(np.ceil(bbox[0] + bbox[2])) - left, window.shape[1])
    bottom = min(int(np.ceil(bbox[1] + bbox[3])) - top, window.shape[0])
    return window, (x, y, right - x, bottom - y)


def rgb_of(colour: str) -> tuple[int, int, int] | None:
    """The nursery's colour of that name, or CSS's; None for another word."""
    if colour in COLOURS:
        return COLOURS[colour]
    try:
        return ImageColor.getrgb(colour)[:3]
    except ValueError:
        return None


def recolour(image: np.ndarray, box, old: str, new: str) -> np.ndarray | None:
    """The picture with the pixels of one hue inside a box in another colour.

    Shading stays: a pixel keeps its brightness and its share of white, relative to
    those of the colour.

    Args:
        image: the scene.
        box: of the thing.
        old, new: names of colours.

    Returns:
        The new picture; None where a name is unknown or grey, or too little of the box
        has the old colour.
    """
    before, after = rgb_of(old), rgb_of(new)
    if before is None or after is None:
        return None
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in before))
    if saturation < MIN_SATURATION:
        return None
    x, y, width, height = box
    inside = image[y : y + height, x : x + width]
    hsv = np.asarray(Image.fromarray(inside).convert("HSV"), np.float32) / 255
    apart = np.abs(hsv[..., 0] - hue)
    alike = np.minimum(apart, 1 - apart) <= HUE_TOLERANCE
    alike &= hsv[..., 1] >= MIN_SATURATION
    if alike.mean() < MIN_CHANGED:
        return None
    bright = np.minimum(hsv[..., 2] / value, 1.25)[..., None]
    pure = np.minimum(hsv[..., 1] / saturation, 1.0)[..., None]
    painted = np.array(after, np.float32) * bright
    white = 255 * hsv[..., 2:]
    painted = np.clip(pure * painted + (1 - pure) * white, 0, 255).astype(np.uint8)
    changed = image.copy()
    changed[y : y + height, x : x + width] = np.where(alike[..., None], painted, inside)
    return changed


def replace(image: np.ndarray, box, other: np.ndarray) -> np.ndarray:
    """The picture with another thing in the place of the one in the box.

    The old thing is painted over with the colour of what is around it. The new one is
    cut out of its own background as well as that goes, and is as long as the old.

    Args:
        image: the scene.
        box: of the old thing.
        other: u8[h, w, 3] crop of the new one.
    """
    x, y, width, height = box
    changed = image.copy()
    inside = changed[y : y + height, x : x + width]
    inside[:] = np.median(_rim(image, box), axis=0).astype(np.uint8)
    factor = max(width, height) / max(other.shape[:2])
    other = items.resize(other, items.scaled(other, factor))
    # a little may hang over the box, within the picture
    other = other[: image.shape[0], : image.shape[1]]
    high, wide = other.shape[:2]
    top = int(np.clip(y + (height - high) // 2, 0, image.shape[0] - high))
    left = int(np.clip(x + (width - wide) // 2, 0, image.shape[1] - wide))
    place = changed[top : top + high, left : left + wide]
    place[:] = np.where(items.background(other)[..., None], place, other)
    return changed


def _rim(image, box) -> np.ndarray:
    """u8[n, 3]: the pixels just outside the box, or on its edge at a border."""
    x, y, width, height = box
    top, left = max(y - 1, 0), max(x - 1, 0)
    bottom = min(y + height, image.shape[0] - 1)
    right = min(x + width, image.shape[1] - 1)
    rows = image[[top, bottom], left : right + 1].reshape(-1, 3)
    columns = image[top : bottom + 1, [left, right]].reshape(-1, 3)
    return np.concatenate([rows, columns])
