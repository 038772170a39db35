"""From a file to what the encoder sees: u8 to the device, normalised there."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.data.images import encode_png, preprocess
from babyvlm_jax.models.vision import normalize

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
LEVEL = 1 / 255 / STD.min()  # one of 255, normalised


def as_the_original(data: bytes, size: int) -> np.ndarray:
    """Pads with int(255 * mean), resizes by Pillow, then scales and normalises."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(255 * value) for value in MEAN))
    square.paste(image, tuple((side - length) // 2 for length in image.size))
    small = square.resize((size, size), Image.Resampling.BILINEAR)
    return (np.asarray(small) / 255 - MEAN) / STD


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (40, 40), (24, 24)])
def test_pixels_are_padded_and_normalised_as_the_original_s(shape):
    rng = np.random.default_rng(0)
    data = encode_png(rng.integers(0, 256, (*shape, 3), np.uint8))
    pixels = preprocess(data, 24)
    assert pixels.dtype == np.uint8
    seen = jax.jit(normalize, static_argnums=1)(pixels, "float32")
    np.testing.assert_allclose(seen, as_the_original(data, 24), atol=1.001 * LEVEL)


def test_padding_is_all_but_nothing_once_normalised():
    wide = encode_png(np.full((10, 40, 3), 255, np.uint8))
    seen = np.asarray(normalize(preprocess(wide, 24), "float32"))
    # int() has cut off less than a level of the mean
    assert (seen[:8] <= 0).all() and (seen[:8] > -LEVEL).all()
    np.testing.assert_array_equal(seen[:8], seen[-8:])
    assert (seen[11:13] > 2).all()
