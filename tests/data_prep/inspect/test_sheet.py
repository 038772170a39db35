"""The contact sheet."""

import io

import pytest
from PIL import Image, ImageFont

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from data_prep.inspect import sheet
from tests.data_prep.inspect.conftest import frame, pair, picture, text


def _drawn(records, columns=8):
    return Image.open(io.BytesIO(sheet.contact_sheet(records, columns))).convert("RGB")


def _cell(image, column, row):
    x = sheet.MARGIN + column * (sheet.CELL + sheet.GAP) + sheet.CELL // 2
    y = sheet.MARGIN + row * (sheet.CELL + sheet.TEXT + sheet.GAP) + sheet.CELL // 2
    return image.getpixel((x, y))


def test_pictures_lie_in_rows_and_small_ones_are_enlarged():
    image = _drawn([pair(200), pair(100), pair(50)], columns=2)
    assert image.size == (64 + 2 * 160 + 16, 64 + 2 * (160 + 44 + 16) - 16)
    for (column, row), shade in {(0, 0): 200, (1, 0): 100, (0, 1): 50}.items():
        red, green, blue = _cell(image, column, row)
        assert abs(red - shade) <= 3 and green <= 3 and blue <= 3  # JPEG
    assert _cell(image, 1, 1) == (251, 250, 247)


def test_a_damaged_picture_is_an_empty_frame():
    assert _cell(_drawn([frame(0)]), 0, 0) == (234, 230, 222)


def test_records_without_pictures_are_passed_over():
    assert _drawn([text(0), pair(9)]).size == _drawn([pair(9)]).size
    assert _drawn([]).size[0] == 64 + 160


def test_thumbnails():
    assert sheet.thumbnail(picture(9), 6).size == (6, 4)
    assert sheet.thumbnail(picture(9), 99).size == (12, 8)
    assert sheet.thumbnail(picture(9), 60, enlarge=True).size == (60, 40)
    assert sheet.thumbnail(b"none", 60) is None


@pytest.mark.parametrize(
    ("said", "note", "expected"),
    [
        ("a ball", "", ("a ball", "")),
        ("look at the big red balloons", "", ("look at the big red", "balloons")),
        ("a ball", "and 2 more", ("a ball", "and 2 more")),
        ("", "", ("", "")),
    ],
)  # fmt: skip
def test_captions(said, note, expected):
    font = ImageFont.load_default(size=13)
    assert sheet._wrapped(said, font, note) == expected


def test_long_captions_fit_the_cell():
    font = ImageFont.load_default(size=13)
    for said in ("word " * 99, "w" * 99, "w" * 99 + " and more"):
        for note in ("", "and 2 more"):
            lines = sheet._wrapped(said, font, note)
            assert all(font.getlength(line) <= sheet.CELL for line in lines)
            assert "..." in "".join(lines)


def test_the_first_answer_is_the_caption():
    said = ((HUMAN, "<image> what?"), (ASSISTANT, "x"))
    one = Record("a", "x", (picture(1),), said)
    other = Record("a", "x", (picture(1),), (said[0], (ASSISTANT, "yyyyy")))
    assert sheet.contact_sheet([one]) != sheet.contact_sheet([other])
