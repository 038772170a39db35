"""Padding, resizing, transparency and damaged pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.data.images import blank, encode_jpeg, encode_png, preprocess
from babyvlm_jax.errors import UserError


def test_square_png_is_exact():
    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.testing.assert_array_equal(preprocess(encode_png(array), 4), array)


@pytest.mark.parametrize("axis", [0, 1])
def test_padding_is_the_mean_colour(axis):
    wide = np.zeros((2, 4, 3), np.uint8)
    image = preprocess(encode_png(np.moveaxis(wide, 1, axis)), 4)
    lines = np.moveaxis(image, 1, axis)[:, 0]
    assert lines.tolist() == [[123, 116, 103], [0, 0, 0], [0, 0, 0], [123, 116, 103]]


def test_resize_averages():
    checker = np.zeros((8, 8, 3), np.uint8)
    checker[::2, ::2] = checker[1::2, 1::2] = 200
    small = preprocess(encode_png(checker), 2)
    # without antialiasing these would be 0 or 200
    assert np.abs(small.astype(int) - 100).max() <= 15


def test_grey_and_transparent_pictures():
    for mode, expected in (("L", [7, 7, 7]), ("RGBA", [123, 116, 103])):
        out = io.BytesIO()
        Image.new(mode, (3, 3), 7 if mode == "L" else (9, 9, 9, 0)).save(out, "PNG")
        assert preprocess(out.getvalue(), 3)[1, 1].tolist() == expected


def test_damaged_pictures():
    whole = encode_jpeg(np.random.default_rng(0).integers(0, 255, (64, 64, 3), "u1"))
    assert preprocess(whole, 8).shape == (8, 8, 3)
    for data in (b"", b"no picture", whole[: len(whole) // 2]):
        with pytest.raises(UserError, match=f"{len(data)} bytes cannot be decoded"):
            preprocess(data, 8)


def test_blank():
    assert blank(2).tolist() == [[[123, 116, 103]] * 2] * 2
