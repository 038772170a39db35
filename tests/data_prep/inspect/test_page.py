"""The contact sheet."""

import io

import pytest
from PIL import Image, ImageFont

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from data_prep.inspect import page
from data_prep.inspect.page import CONTEXT, IMAGE, SUPERVISED, pieces, tally
from tests.data_prep.inspect.conftest import frame, pair, picture, text


def _drawn(records, columns=8):
    return Image.open(io.BytesIO(page.contact_sheet(records, columns))).convert("RGB")


def _cell(image, column, row):
    x = page.MARGIN + column * (page.CELL + page.GAP) + page.CELL // 2
    y = page.MARGIN + row * (page.CELL + page.TEXT + page.GAP) + page.CELL // 2
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
    assert page.thumbnail(picture(9), 6).size == (6, 4)
    assert page.thumbnail(picture(9), 99).size == (12, 8)
    assert page.thumbnail(picture(9), 60, enlarge=True).size == (60, 40)
    assert page.thumbnail(b"none", 60) is None


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
    assert page._wrapped(said, font, note) == expected


def test_long_captions_fit_the_cell():
    font = ImageFont.load_default(size=13)
    for said in ("word " * 99, "w" * 99, "w" * 99 + " and more"):
        for note in ("", "and 2 more"):
            lines = page._wrapped(said, font, note)
            assert all(font.getlength(line) <= page.CELL for line in lines)
            assert "..." in "".join(lines)


def test_the_first_answer_is_the_caption():
    said = ((HUMAN, "<image> what?"), (ASSISTANT, "x"))
    one = Record("a", "x", (picture(1),), said)
    other = Record("a", "x", (picture(1),), (said[0], (ASSISTANT, "yyyyy")))
    assert page.contact_sheet([one]) != page.contact_sheet([other])


@pytest.fixture(scope="module")
def tokenizer(shelf):
    return Tokenizer.load(shelf.tokenizer)


def _shown(found):
    return [(piece.kind, piece.text) for piece in found]


def test_a_pair_token_by_token(tokenizer):
    record = Record("a", "x", (b"p",), ((HUMAN, "<image>"), (ASSISTANT, "Red ball")))
    found, encoded = pieces(record, tokenizer, "baby_v1", 5)
    assert _shown(found) == [
        (CONTEXT, "<sos>"),
        (CONTEXT, "user:"),
        (IMAGE, ""),
        (CONTEXT, "assistant:"),
        (SUPERVISED, "red"),
        (SUPERVISED, "ball"),
        (SUPERVISED, "<eos>"),
    ]
    assert encoded.images == (b"p",)
    assert (found[2].token, found[2].picture) == (5, 0)
    assert [piece.special for piece in found] == [True, *[False] * 5, True]
    assert tally(found) == {SUPERVISED: 3, CONTEXT: 3, IMAGE: 5}


def test_parts_of_a_word_are_told_from_words(tokenizer):
    record = Record("a", "x", (), ((ASSISTANT, "redball red"),))
    found, _ = pieces(record, tokenizer, "baby_plain", 5)
    text = [piece for piece in found if not piece.special]
    assert "".join(" " * p.begins_word + p.text for p in text) == " redball red"
    assert text[0].begins_word and not text[1].begins_word and text[-1].begins_word


def test_an_unknown_letter_is_a_token_that_is_not_learnt(tokenizer):
    record = Record("a", "x", (), ((ASSISTANT, "red \u2603"),))
    found, _ = pieces(record, tokenizer, "baby_plain", 5)
    assert (CONTEXT, "<unk>") in _shown(found)


def test_a_picture_that_comes_again_is_the_same_one(tokenizer):
    turns = ((HUMAN, "<image><image>"), (ASSISTANT, "red"), (HUMAN, "<image>"),
             (ASSISTANT, "ball"))  # fmt: skip
    record = Record("a", "x", (b"p", b"q", b"p"), turns)
    found, encoded = pieces(record, tokenizer, "baby_v1", 3)
    assert [p.picture for p in found if p.kind == IMAGE] == [0, 1, 0]
    assert encoded.images == (b"p", b"q")
