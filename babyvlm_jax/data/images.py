"""Image files: the one reader of the project, and square u8 arrays for the model."""

import contextlib
import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps

from babyvlm_jax.runtime.errors import (
    UserError,
    check_file,
    explain_system_fault,
    raise_system_fault,
)

try:
    import cykooz_resizer
except ImportError:  # it has no wheel for Linux on ARM
    cykooz_resizer = None

# int(255 * ImageNet mean); as BabyVLM-V2's code pads to a square
MEAN_COLOUR = (123, 116, 103)
MAX_SIDE = 8000  # ours: a square of 64 million pixels
MAX_PIXELS = 64_000_000  # ours: larger than a camera's, a sixth of a gigabyte decoded
FORMATS = ("JPEG", "PNG", "WEBP")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
# what Pillow raises on bytes that are no image or a broken one
_UNDECODABLE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, SyntaxError),
    *(TypeError, ValueError, struct.error),
)


class ImageTooLarge(UserError):
    """An image has more pixels than are decoded."""


class _OfThread(threading.local):
    """What resizes to one size; its memory is not shared between threads."""

    size = 0
    tools = None


_of_thread = _OfThread()


def preprocess(data: bytes, size: int, scaled: bool = False) -> np.ndarray:
    """Decodes a picture, pads it to a square and resizes it, without cropping.

    Decoded pixels are Pillow's, bit for bit, and resized ones within one level of 255:
    libjpeg-turbo is asked directly for the ordinary JPEG, and Pillow's `BILINEAR` is
    done by vector instructions where there is the library for it.

    Args:
        data: a JPEG, PNG or WebP file.
        size: side of the result in pixels.
        scaled: decode a JPEG at the least N/8 of its size whose longer side is not
            below `size`. Faster, and the pixels differ a little from those of
            decoding whole and resizing.

    Returns:
        u8[size, size, 3]; transparency and padding show the mean colour.

    Raises:
        UserError: the bytes are not a picture, a damaged one, or one that is longer or
            wider than MAX_SIDE.
    """
    pixels = _decode_jpeg(data, size if scaled else None)
    if pixels is None:
        pixels = np.asarray(read_image(data, longest=MAX_SIDE))
    pixels = _pad_to_square(pixels)
    if len(pixels) == size:
        return pixels
    return _resize(pixels, size)


def _resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """u8[S, S, 3] -> u8[size, size, 3]: each pixel weighs all those that it covers."""
    if cykooz_resizer is None:
        square = Image.fromarray(pixels)
        return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
    resizer, how, after = _resizer_of_thread(size)
    before = cykooz_resizer.ImageData(
        *pixels.shape[:2], cykooz_resizer.PixelType.U8x3, pixels.tobytes()
    )
    resizer.resize(before, after, how)
    return np.frombuffer(after.get_buffer(), np.uint8).reshape(size, size, 3)


def _resizer_of_thread(size: int):
    """(resizer, its options, its result) for one size."""
    if _of_thread.size != size:
        bilinear = cykooz_resizer.FilterType.bilinear
        how = cykooz_resizer.ResizeAlg.convolution(bilinear)
        _of_thread.tools = (
            cykooz_resizer.Resizer(),
            cykooz_resizer.ResizeOptions(resize_alg=how),
            cykooz_resizer.ImageData(size, size, cykooz_resizer.PixelType.U8x3),
        )
        _of_thread.size = size
    return _of_thread.tools


def _decode_jpeg(data, min_side):
    """u8[H, W, 3], or None for what Pillow must judge: not a plain or whole JPEG."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "Gray") or max(height, width) > MAX_SIDE:
            return None
        if b"Exif" in data[: 2**16]:
            with open_image(data) as image:
                if not is_stored_as_shown(image):
                    return None
        least = {}
        if min_side is not None and max(height, width) > min_side:
            least["min_height" if height >= width else "min_width"] = min_side
        return simplejpeg.decode_jpeg(data, min_factor=1.0, **least)
    except ValueError:
        return None


@contextlib.contextmanager
def open_image(source: bytes | os.PathLike) -> Iterator[Image.Image]:
    """Opens an image file; pixels are read when they are asked for.

    Args:
        source: content or path of a JPEG, PNG or WebP file.

    Raises:
        ImageTooLarge: it has more than MAX_PIXELS.
        UserError: it is no image, or turns out to be damaged in the block; or the
            system refuses the file.
    """
    is_path = not isinstance(source, bytes)
    name = str(source) if is_path else f"an image of {len(source)} bytes"
    if is_path:
        check_file(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, weaker limit
            image = Image.open(source if is_path else io.BytesIO(source), "r", FORMATS)
        with image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageTooLarge(f"{name} has {width} x {height} pixels")
            if getattr(image, "n_frames", 1) > 1 and image.format in ("PNG", "WEBP"):
                raise ValueError("it is animated")
            yield image
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"{name}: {error}") from None
    except UserError:
        raise
    except _UNDECODABLE as error:
        if is_path:
            raise_system_fault(error, source)
        why = is_path and explain_system_fault(error)  # no damage, but this file's own
        if why:
            raise UserError(f"{name} cannot be read: {why}") from None
        why = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(
            f"{name} cannot be decoded ({why}); expected a whole JPEG, PNG or WebP file"
        ) from None


def read_image(
    source: bytes | os.PathLike,
    draft_side: int = 0,
    alpha: bool = False,
    longest: int = MAX_PIXELS,
) -> Image.Image:
    """Decodes an image file as a viewer shows it: upright, 8 bits per channel.

    Args:
        source: see `open_image`.
        draft_side: decode a larger JPEG at the smallest eighth of its size of which no
            side is below this; 0 decodes whole.
        alpha: give RGBA; else RGB, whose transparent parts show the mean colour.
        longest: pixels of a side, at most.

    Raises:
        UserError: see `open_image`.
    """
    with open_image(source) as image:
        width, height = image.size
        if max(width, height) > longest:
            raise ImageTooLarge(
                f"an image has {width} x {height} pixels; expected at most {longest} "
                "per side"
            )
        if draft_side:
            image.draft("RGB", (draft_side, draft_side))
        image.load()
        if _orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # Pillow's `convert` would clip at 255
            image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype("u1"))
        if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
            return image.convert("RGBA" if alpha else "RGB")
        image = image.convert("RGBA")
        if alpha:
            return image
        backdrop = Image.new("RGBA", image.size, (*MEAN_COLOUR, 255))
        return Image.alpha_composite(backdrop, image).convert("RGB")


def is_stored_as_shown(image: Image.Image) -> bool:
    """Whether an open image is stored upright and with 8 bits per channel.

    Load a PNG before: its orientation may be at its end, and damage counts as upright.
    """
    return _orientation(image) == 1 and not image.mode.startswith("I")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, as stored, where it is absent or unreadable."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _UNDECODABLE:
        return 1
    return found if found in range(1, 9) else 1


def _pad_to_square(pixels: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    if height == width:
        return pixels
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = MEAN_COLOUR
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
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
