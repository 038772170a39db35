"""The image files that records name: found, checked, and made small."""

import io
import os
import stat
from pathlib import Path

from PIL import Image

from babyvlm_jax.data.images import (
    MAX_SIDE,
    ImageTooLarge,
    is_stored_as_shown,
    open_image,
    read_image,
)
from babyvlm_jax.runtime.errors import UserError, raise_system_fault
from data_prep.importing.reading import Refusal

MAX_BYTES = 2**26  # of a file
JPEG_QUALITY = 92


def find_picture(folder: Path, name: str) -> str:
    """The path of the image `name` of an image folder, which may be missing.

    Args:
        folder: the image folder, an absolute path without symbolic links.
        name: path relative to it.

    Raises:
        Refusal: outside_folder, or missing_image if it is no name of a file.
    """
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise Refusal("outside_folder", name)
    if "\0" in name or not name:
        raise Refusal("missing_image", repr(name))
    real = os.path.realpath(folder / path)
    if os.path.commonpath([real, folder]) != str(folder):
        raise Refusal("outside_folder", f"{name} is a link to {real}")
    return real


def read_picture(folder: Path, name: str) -> bytes:
    """Reads the image `name` of an image folder; see `find_picture`.

    Returns:
        The content of the file.

    Raises:
        Refusal: outside_folder, missing_image or image_too_large.
    """
    real = find_picture(folder, name)
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
    """Decodes an image to see that it is whole, and makes a large one small.

    Args:
        data: a JPEG, PNG or WebP file.
        max_side: an image with a longer side, or one that is not JPEG, becomes a
            JPEG of at most this side; 0 leaves images as they are, but for those that
            a viewer turns and those of 16 bits per channel.
        name: what to call it in a refusal.

    Returns:
        `data` itself, or the smaller file. Transparent parts show the mean colour.

    Raises:
        Refusal: image_too_large or undecodable_image.
    """
    if len(data) > MAX_BYTES:
        raise Refusal("image_too_large", f"{name}: {len(data)} bytes")
    try:
        with open_image(data) as image:
            kind, longer = image.format, max(image.size)
            if longer > MAX_SIDE and not max_side:
                why = f"{name}: {longer} pixels long; --max-side makes it smaller"
                raise Refusal("image_too_large", why)
            if not max_side or (kind == "JPEG" and longer <= max_side):
                # a JPEG is read to its end, at an eighth of its size: half the time
                image.draft("L", (1, 1))
                image.load()
                if is_stored_as_shown(image):
                    return data
        # a JPEG can be decoded at a half, a quarter or an eighth: keep twice the size
        image = read_image(data, 2 * max_side)
    except ImageTooLarge as error:
        raise Refusal("image_too_large", f"{name}: {error}") from None
    except UserError as error:
        raise Refusal("undecodable_image", f"{name}: {error}") from None
    if max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if max_side or kind == "JPEG":
        image.save(out, "JPEG", quality=JPEG_QUALITY)
    else:
        image.save(out, "PNG")
    return out.getvalue()
