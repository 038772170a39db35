"""Encoded pictures <-> square u8 arrays."""

import io

import numpy as np
from PIL import Image

from babyvlm_jax.errors import UserError

# int(255 * ImageNet mean); pads to square, BabyVLM-V2 §2
MEAN_COLOUR = (123, 116, 103)


def preprocess(data: bytes, size: int) -> np.ndarray:
    """Decodes a picture, pads it to a square and resizes it, without cropping.

    Args:
        data: a JPEG, PNG or WebP file.
        size: side of the result in pixels.

    Returns:
        u8[size, size, 3]; transparency and padding show the mean colour.

    Raises:
        UserError: the bytes are not a picture, or a damaged one.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            square = _pad_to_square(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        why = str(error).replace("\n", " ")[:100]
        raise UserError(
            f"a picture of {len(data)} bytes cannot be decoded ({why}); expected a "
            "whole JPEG, PNG or WebP file"
        ) from None
    if square.size != (size, size):
        square = square.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(square)


def _pad_to_square(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, (*MEAN_COLOUR, 255))
        image = Image.alpha_composite(backdrop, image)
    image = image.convert("RGB")
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), MEAN_COLOUR)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def blank(size: int) -> np.ndarray:
    """u8[size, size, 3] of the mean colour: the control without pictures."""
    return np.full((size, size, 3), MEAN_COLOUR, np.uint8)


def encode_jpeg(array: np.ndarray, quality: int = 92) -> bytes:
    """JPEG file of u8[H, W, 3]."""
    return _encode(array, "JPEG", quality=quality)


def encode_png(array: np.ndarray) -> bytes:
    """PNG file of u8[H, W, 3]: exact, for items that must be compared byte by byte."""
    return _encode(array, "PNG")


def _encode(array, file_format, **options):
    out = io.BytesIO()
    Image.fromarray(array).save(out, file_format, **options)
    return out.getvalue()
