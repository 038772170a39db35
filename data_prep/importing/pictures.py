"""The picture files that records name: found, checked, and made small."""

import io
import os
import stat
import struct
import warnings
from pathlib import Path

from PIL import Image

from babyvlm_jax.data.images import MEAN_COLOUR
from babyvlm_jax.errors import raise_system_fault
from data_prep.importing.refusal import Refusal

MAX_PIXELS = 64_000_000  # ours: larger than a camera's, a sixth of a gigabyte decoded
MAX_SIDE = 8_000  # of a picture that is kept: training pads it to a square
MAX_BYTES = 2**26  # of a file
JPEG_QUALITY = 92
FORMATS = ("JPEG", "PNG", "WEBP")
# what Pillow raises on bytes that are no picture or a broken one
_UNDECODABLE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


def read_picture(folder: Path, name: str) -> bytes:
    """Reads the picture `name` of an image folder.

    Args:
        folder: the image folder, an absolute path without symbolic links.
        name: path relative to it.

    Returns:
        The content of the file.

    Raises:
        Refusal: outside_folder, missing_image or image_too_large.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise Refusal("outside_folder", name)
    if "\0" in name or not name:
        raise Refusal("missing_image", repr(name))
    real = os.path.realpath(folder / path)
    if os.path.commonpath([real, folder]) != str(folder):
        raise Refusal("outside_folder", f"{name} is a link to {real}")
    try:
        found = os.stat(real)
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise Refusal("missing_image", f"{name} is not a file")
        if found.st_size > MAX_BYTES:
            raise Refusal("image_too_large", f"{name}: {found.st_size} bytes")
        return Path(real).read_bytes()
    except OSError as error:
        raise_system_fault(error, real)
        raise Refusal("missing_image", f"{name} ({error.strerror})") from None


def checked_picture(data: bytes, max_side: int, name: str) -> bytes:
    """Decodes a picture to see that it is whole, and makes a large one small.

    Args:
        data: a JPEG, PNG or WebP file.
        max_side: a picture with a longer side, or one that is not JPEG, becomes a
            JPEG of at most this side; 0 leaves every picture as it is.
        name: what to call it in a refusal.

    Returns:
        `data` itself, or the smaller file. Transparent parts show the mean colour.

    Raises:
        Refusal: image_too_large or undecodable_image.
    """
    if len(data) > MAX_BYTES:
        raise Refusal("image_too_large", f"{name}: {len(data)} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, weaker limit
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Refusal("image_too_large", f"{name}: {width} x {height} pixels")
            longer = max(width, height)
            if longer > MAX_SIDE and not max_side:
                why = f"{name}: {longer} pixels long; --max-side makes it smaller"
                raise Refusal("image_too_large", why)
            is_small = image.format == "JPEG" and longer <= max_side
            if is_small or not max_side:
                # a JPEG is read to its end, at an eighth of its size: half the time
                image.draft("L", (1, 1))
                image.load()
                return data
            return _shrunk(image, max_side)
    except Image.DecompressionBombError as error:
        raise Refusal("image_too_large", f"{name}: {error}") from None
    except _UNDECODABLE as error:
        why = f"{name} ({' '.join(str(error).split()) or type(error).__name__})"
        raise Refusal("undecodable_image", why) from None


def _shrunk(image: Image.Image, max_side: int) -> bytes:
    """JPEG of the picture, at most `max_side` long."""
    width, height = image.size
    scale = min(1.0, max_side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # a JPEG can be decoded at a half, a quarter or an eighth: keep twice the size
    image.draft("RGB", (2 * size[0], 2 * size[1]))
    flat = _without_transparency(image)
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    flat.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _without_transparency(image):
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, (*MEAN_COLOUR, 255))
        image = Image.alpha_composite(backdrop, image)
    return image.convert("RGB")
