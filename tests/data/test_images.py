"""Padding, resizing, transparency and damaged pictures."""

import concurrent.futures
import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from babyvlm_jax.data import images
from babyvlm_jax.data.images import (
    blank,
    encode_jpeg,
    encode_png,
    is_stored_as_shown,
    open_image,
    preprocess,
    read_image,
)
from babyvlm_jax.runtime.errors import UserError


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


def jpeg(array, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(array).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def by_pillow(data, size):
    """Plain Pillow: decode, paste on a square of the mean colour, resize."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    side = max(image.size)
    square = Image.new("RGB", (side, side), (123, 116, 103))
    square.paste(image, tuple((side - length) // 2 for length in image.size))
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


def assert_close(found, expected, resized=True):
    """Pillow's pixels, within a level of 255 where resized (two would be allowed)."""
    assert np.abs(found.astype(int) - expected).max() <= resized


NOISE = np.random.default_rng(0).integers(0, 255, (40, 57, 3), np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE[:5, :7]).resize((320, 240)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": 0},
        {"subsampling": 1, "quality": 30},
        {"progressive": True},
        {"mode": "L"},
        {"mode": "CMYK"},
        {"keep_rgb": True},
    ],
)
def test_every_kind_of_jpeg_is_as_pillow_sees_it(options):
    data = jpeg(NOISE, **options)
    for size in (16, 57, 64):
        assert_close(preprocess(data, size), by_pillow(data, size), size != 57)


CHECKS = np.indices((57, 57)).sum(axis=0) % 2 * 255
EDGES = {
    "noise": np.random.default_rng(2).integers(0, 256, (57, 57, 3), np.uint8),
    "checks": np.repeat(CHECKS[..., None], 3, axis=2).astype(np.uint8),
    "wide": NOISE[:9],
    "tall": NOISE[:, :4],
}


@pytest.mark.parametrize("picture", EDGES)
@pytest.mark.parametrize("size", [1, 28, 50, 57, 58, 131])
def test_resizing_is_within_a_level_of_pillow_s(picture, size):
    array = EDGES[picture]
    data = encode_png(array)
    found = preprocess(data, size)
    assert found.shape == (size, size, 3) and found.dtype == np.uint8
    assert_close(found, by_pillow(data, size), size != max(array.shape))


def test_without_the_library_pillow_resizes(monkeypatch):
    data = encode_png(EDGES["noise"])
    monkeypatch.setattr(images, "cykooz_resizer", None)
    np.testing.assert_array_equal(preprocess(data, 28), by_pillow(data, 28))


def test_threads_resize_at_the_same_time():
    data = encode_png(EDGES["noise"])
    alone = preprocess(data, 131)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: preprocess(data, 131), range(40)):
            np.testing.assert_array_equal(made, alone)


def test_a_jpeg_that_is_cut_or_changed_is_judged_by_pillow():
    data = jpeg(NOISE)
    rng = np.random.default_rng(1)
    scan = data.index(b"\xff\xda")  # beyond the sizes
    for _ in range(100):
        spoilt = bytearray(data)
        for place in rng.integers(scan, len(data), 3):
            spoilt[place] = rng.integers(256)
        try:
            expected = by_pillow(bytes(spoilt), 16)
        except (OSError, SyntaxError, ValueError):
            with pytest.raises(UserError, match="cannot be decoded"):
                preprocess(bytes(spoilt), 16)
        else:
            assert_close(preprocess(bytes(spoilt), 16), expected)


def test_scaled_decoding_is_close_on_a_smooth_picture():
    data = jpeg(SMOOTH)
    assert len(data) > 1000
    for size in (32, 100, 160, 320, 400):
        near = preprocess(data, size, scaled=True).astype(int)
        whole = preprocess(data, size)
        # the DCT's low frequencies against an antialiased resize of all of them
        assert np.abs(near - whole).mean() < 2
    assert (preprocess(data, 100, scaled=True) != preprocess(data, 100)).any()


def test_a_picture_that_claims_to_be_huge_is_refused_unread():
    data = jpeg(NOISE)
    size = data.index(b"\x00\x28\x00\x39")  # height 40, width 57
    huge = data[:size] + b"\x00\x28\xff\xff" + data[size + 4 :]
    with pytest.raises(
        UserError, match="65535 x 40 pixels; expected at most 8000 per side"
    ):
        preprocess(huge, 16)


def _saved(image, kind="PNG", orientation=None) -> bytes:
    exif = Image.Exif()
    if orientation:
        exif[ExifTags.Base.Orientation] = orientation
    out = io.BytesIO()
    image.save(out, kind, exif=exif, **{"quality": 95, "lossless": True})
    return out.getvalue()


def _is_as_shown(data):
    with open_image(data) as image:
        return is_stored_as_shown(image)


@pytest.mark.parametrize("orientation", [*range(9), 9, 255])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_are_read_upright(kind, orientation):
    """Quarters of four greys, in the order in which a viewer shows them."""
    stored = np.repeat(np.repeat([[20, 80], [140, 200]], 16, 0), 32, 1).astype("u1")
    shown = {
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: stored.T[:, ::-1],
        7: stored.T[::-1, ::-1],
        8: stored.T[::-1],
    }.get(orientation, stored)
    data = _saved(Image.fromarray(stored).convert("RGB"), kind, orientation)
    assert _is_as_shown(data) == (shown is stored)
    read = np.asarray(read_image(data))
    assert read.shape == (*shown.shape, 3)
    assert np.abs(read[..., 0].astype(int) - shown).max() <= 3  # JPEG loses a little
    for scaled in (False, True):
        square = preprocess(data, 64, scaled)
        height, width = shown.shape
        top, left = (64 - height) // 2, (64 - width) // 2
        inner = square[top : top + height, left : left + width, 0]
        assert np.abs(inner.astype(int) - shown).max() <= 3


def test_16_bits_are_scaled_to_8():
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    data = _saved(Image.fromarray(ramp))
    assert not _is_as_shown(data)
    np.testing.assert_array_equal(preprocess(data, 64)[..., 1], ramp >> 8)


@pytest.mark.integration
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_changed_file_is_read_or_refused(data):
    """A few bytes are others, or the end is missing: never another error."""
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP"]))
    noise = Image.fromarray(NOISE)
    file = bytearray(_saved(noise, kind, data.draw(st.integers(0, 8))))
    for _ in range(data.draw(st.integers(0, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    file = bytes(file[: data.draw(st.integers(0, len(file)))])
    for read in (read_image, lambda file: preprocess(file, 8), _is_as_shown):
        with contextlib.suppress(UserError):
            read(file)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_no_image(kind):
    out, frames = (
        io.BytesIO(),
        [Image.new("RGB", (8, 8), (80 * k, 0, 0)) for k in range(3)],
    )
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="it is animated"):
        read_image(out.getvalue())
