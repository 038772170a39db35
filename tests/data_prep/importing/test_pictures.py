"""Picture files: where they may lie, what is too large, what is broken."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data_prep.importing import pictures
from data_prep.importing.reading import REASONS, Refusal


def encoded(kind="JPEG", size=(40, 30), mode="RGB", colour=128) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, kind)
    return out.getvalue()


def png_of_size(width, height) -> bytes:
    """The head of a PNG that claims a size; it has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 8)
        + b"IDAT\0\0\0\0"
    )


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    (images / "a.jpg").write_bytes(b"a")
    (images / "sub" / "b.jpg").write_bytes(b"b")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (images / "inner.jpg").symlink_to(images / "sub" / "b.jpg")
    (images / "outer.jpg").symlink_to(tmp_path / "secret.jpg")
    (images / "up").symlink_to(tmp_path)
    (images / "circle.jpg").symlink_to(images / "circle.jpg")
    os.mkfifo(images / "pipe.jpg")
    return images.resolve()


def _reason(call, *args) -> str:
    with pytest.raises(Refusal) as refusal:
        call(*args)
    assert refusal.value.reason in REASONS
    return refusal.value.reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jpg", b"a"),
        ("sub/b.jpg", b"b"),
        ("./a.jpg", b"a"),
        ("sub//b.jpg", b"b"),
        ("inner.jpg", b"b"),
    ],
)
def test_files_within_the_folder_are_read(folder, name, content):
    assert pictures.read_picture(folder, name) == content


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.jpg", "outside_folder"),
        ("sub/../a.jpg", "outside_folder"),
        ("/etc/passwd", "outside_folder"),
        ("outer.jpg", "outside_folder"),
        ("up/secret.jpg", "outside_folder"),
        ("none.jpg", "missing_image"),
        ("a.jpg/b", "missing_image"),
        ("sub", "missing_image"),
        ("", "missing_image"),
        ("a\0.jpg", "missing_image"),
        ("pipe.jpg", "missing_image"),
        ("circle.jpg", "missing_image"),
        ("n" * 5000, "missing_image"),
    ],
)
def test_other_paths_are_refused(folder, name, reason):
    assert _reason(pictures.read_picture, folder, name) == reason


def test_a_file_of_too_many_bytes_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 3)
    (folder / "large.jpg").write_bytes(b"1234")
    assert _reason(pictures.read_picture, folder, "large.jpg") == "image_too_large"
    assert _reason(pictures.checked_picture, b"1234", 8, "x") == "image_too_large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_kept_as_they_are_on_request(kind):
    data = encoded(kind, (400, 300))
    assert pictures.checked_picture(data, 0, "x") is data


def test_a_small_jpeg_is_not_encoded_again():
    data = encoded("JPEG", (256, 200))
    assert pictures.checked_picture(data, 256, "x") is data


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("JPEG", (640, 480), (256, 192)),
        ("JPEG", (300, 4000), (19, 256)),
        ("PNG", (640, 480), (256, 192)),
        ("PNG", (30, 20), (30, 20)),
        ("WEBP", (480, 640), (192, 256)),
        ("PNG", (5000, 1), (256, 1)),
    ],
)
def test_a_large_picture_becomes_a_small_jpeg(kind, size, expected):
    data = pictures.checked_picture(encoded(kind, size), 256, "x")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", expected)


def test_what_is_seen_stays_the_same():
    ramp = Image.linear_gradient("L").resize((1024, 768)).convert("RGB")
    out = io.BytesIO()
    ramp.save(out, "JPEG", quality=95)
    data = pictures.checked_picture(out.getvalue(), 256, "x")
    with Image.open(io.BytesIO(data)) as image:
        for row in (8, 96, 180):  # the ramp goes from 0 to 255 over 192 rows
            found = image.getpixel((128, row))[0]
            # one row is 1.3 levels, and JPEG moves a level or two
            assert abs(found - row * 255 / 191) <= 4


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_the_mean_colour(mode):
    clear = (0,) * len(mode)
    data = pictures.checked_picture(encoded("PNG", (8, 8), mode, clear), 256, "x")
    with Image.open(io.BytesIO(data)) as image:
        found = image.getpixel((4, 4))
    # JPEG's colour space moves a level
    assert all(abs(a - b) <= 2 for a, b in zip(found, (123, 116, 103), strict=True))


@pytest.mark.parametrize("max_side", [0, 256])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_cut_short_is_refused(kind, max_side):
    data = encoded(kind, (400, 300))
    whole = pictures.checked_picture(data, max_side, "x")
    assert whole
    for share in (0.2, 0.6, 0.9):
        cut = data[: int(len(data) * share)]
        found = _reason(pictures.checked_picture, cut, max_side, "x")
        assert found == "undecodable_image"


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"<svg/>", encoded("GIF"), encoded("BMP"), encoded("TIFF")]
)
def test_other_files_are_refused(data):
    assert _reason(pictures.checked_picture, data, 256, "x") == "undecodable_image"


@pytest.mark.parametrize("size", [(8001, 8000), (100_000, 100_000), (64_000_001, 1)])
def test_a_bomb_is_refused_before_it_is_decoded(size):
    data = png_of_size(*size)
    for max_side in (0, 256):
        found = _reason(pictures.checked_picture, data, max_side, "x")
        assert found == "image_too_large"


def test_a_long_picture_must_be_made_smaller():
    long = encoded("PNG", (8001, 1))
    assert _reason(pictures.checked_picture, long, 0, "x") == "image_too_large"
    assert pictures.checked_picture(long, 256, "x")
    assert pictures.checked_picture(encoded("PNG", (8000, 1)), 0, "x")


def test_the_limit_itself_is_not_a_bomb():
    found = _reason(pictures.checked_picture, png_of_size(8000, 8000), 256, "x")
    assert found == "undecodable_image"  # it has no pixels


@pytest.mark.parametrize("max_side", [0, 50])
def test_pictures_go_in_as_a_viewer_shows_them(max_side):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise
    stored, ramp = Image.new("RGB", (40, 30), "red"), np.arange(256, dtype=np.uint16)
    stored.paste("blue", (20, 0, 40, 30))
    turned, deep = io.BytesIO(), io.BytesIO()
    stored.save(turned, "JPEG", exif=exif)
    Image.fromarray(np.tile(ramp << 8, (30, 1))).save(deep, "PNG")
    kept = pictures.checked_picture(turned.getvalue(), max_side, "a")
    with Image.open(io.BytesIO(kept)) as image:
        red, _, blue = image.getpixel((15, 5))
        assert image.size == (30, 40) and red > blue
    kept = pictures.checked_picture(deep.getvalue(), max_side, "b")
    with Image.open(io.BytesIO(kept)) as image:
        assert np.asarray(image.convert("L")).mean() == pytest.approx(127, abs=1)
