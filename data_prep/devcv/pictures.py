"""Picture operations of the DevCV tasks: crops, canvases, flips, encoding.

All take and give u8[H, W, 3] arrays; a canvas size is (width, height).
"""

import io

import numpy as np
from PIL import Image

JPEG_QUALITY = 92
BACKGROUND_TOLERANCE = 28  # of 255, any channel; ours: spans shading, not outlines
FLIPS = {
    "identity": lambda image: image,
    "horizontal": lambda image: image[:, ::-1],
    "vertical": lambda image: image[::-1],
    "both": lambda image: image[::-1, ::-1],
}


def encode(image: np.ndarray) -> bytes:
    """JPEG file without chroma subsampling: small pictures keep their colours."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(
        out, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )
    return out.getvalue()


def crop(pixels: np.ndarray, bbox, margin: float) -> np.ndarray:
    """The box widened by `margin` of its longer side all round, within the frame."""
    height, width = pixels.shape[:2]
    pad = margin * max(bbox[2], bbox[3])
    left, top = max(bbox[0] - pad, 0), max(bbox[1] - pad, 0)
    right = min(bbox[0] + bbox[2] + pad, width)
    bottom = min(bbox[1] + bbox[3] + pad, height)
    return window(pixels, (left, top, right, bottom))


def window(pixels: np.ndarray, edges) -> np.ndarray:
    """The pixels inside (left, top, right, bottom), at least one each way."""
    left, top = int(np.floor(edges[0])), int(np.floor(edges[1]))
    right, bottom = int(np.ceil(edges[2])), int(np.ceil(edges[3]))
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resampled to (width, height), antialiased."""
    if image.shape[1::-1] == size:
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def shrink(image: np.ndarray, side: int | None) -> np.ndarray:
    """Scaled down so that the longer side is `side`; never enlarged."""
    longer = max(image.shape[:2])
    if side is None or longer <= side:
        return image
    return resize(image, scaled(image, side / longer))


def scaled(image: np.ndarray, factor: float) -> tuple[int, int]:
    """(width, height) of the image times a factor, at least one pixel each."""
    height, width = image.shape[:2]
    return max(round(width * factor), 1), max(round(height * factor), 1)


def canvas_size(width: int, height: int, side: int | None) -> tuple[int, int]:
    """Size of a canvas for a frame of this size, its longer side at most `side`."""
    if side is None or max(width, height) <= side:
        return width, height
    factor = side / max(width, height)
    return round(width * factor), round(height * factor)


def paste(
    image: np.ndarray, size: tuple[int, int], fraction: float, corners=None
) -> np.ndarray:
    """Copies of an image on a black canvas.

    Args:
        image: u8[h, w, 3]; its longer side becomes `fraction` of the canvas's shorter.
        size: (width, height) of the canvas.
        fraction: see image.
        corners: f64[N, 2] (x, y) in [0, 1] of each copy's place: 0 is the left or top
            border, 1 the right or bottom one; None puts one copy in the middle.

    Returns:
        u8[H, W, 3].
    """
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    factor = fraction * min(size) / max(image.shape[:2])
    image = resize(image, scaled(image, factor))
    room = np.array([size[0] - image.shape[1], size[1] - image.shape[0]])
    for place in np.full((1, 2), 0.5) if corners is None else corners:
        x, y = (place * room).round().astype(int)
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return canvas


def cut_out(image: np.ndarray) -> np.ndarray:
    """The object on black: what `background` finds goes.

    Args:
        image: u8[H, W, 3] crop with some background around the object.

    Returns:
        u8[H, W, 3].
    """
    return np.where(background(image)[..., None], np.uint8(0), image)


def background(image: np.ndarray) -> np.ndarray:
    """bool[H, W]: what looks like a corner and hangs on the border.

    On a plain background all but the object's outline and inside; on a busy one little.

    Args:
        image: u8[H, W, 3] crop with some background around an object.
    """
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    planes = np.moveaxis(image, -1, 0).astype(np.int16)  # [3, H, W]: fast to reduce
    alike = np.zeros(image.shape[:2], bool)
    for corner in corners:
        apart = np.abs(planes - corner[:, None, None]).max(axis=0)
        alike |= apart <= BACKGROUND_TOLERANCE
    outside = np.zeros(np.add(alike.shape, 2), bool)
    outside[[0, -1]] = outside[:, [0, -1]] = True  # a rim to start from
    inner = outside[1:-1, 1:-1]
    count = -1
    while count != (count := np.count_nonzero(outside)):
        grown = outside[:-2, 1:-1] | outside[2:, 1:-1]
        grown |= outside[1:-1, :-2] | outside[1:-1, 2:]
        inner |= grown & alike
    return inner
