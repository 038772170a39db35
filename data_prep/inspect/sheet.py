"""A contact sheet: many pictures of a split on one page, with what is said of them."""

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from babyvlm_jax.data.images import read_image
from babyvlm_jax.data.schema import ASSISTANT, Record
from babyvlm_jax.runtime.errors import UserError

CELL, GAP, TEXT, MARGIN = 160, 16, 44, 32  # pixels
PAPER, INK, SOFT, FRAME = "#fbfaf7", "#1f1e1b", "#67635b", "#eae6de"


def contact_sheet(records: Sequence[Record], columns: int = 8) -> bytes:
    """Draws the first picture of each record, and its first answer under it.

    Args:
        records: those without a picture are passed over.
        columns: pictures in a row of the sheet.

    Returns:
        A PNG file. A picture that cannot be decoded is an empty frame.
    """
    records = [record for record in records if record.images]
    columns = min(columns, max(len(records), 1))
    rows = max(1, math.ceil(len(records) / columns))
    size = (
        2 * MARGIN + columns * (CELL + GAP) - GAP,
        2 * MARGIN + rows * (CELL + TEXT + GAP) - GAP,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for place, record in enumerate(records):
        row, column = divmod(place, columns)
        left = MARGIN + column * (CELL + GAP)
        top = MARGIN + row * (CELL + TEXT + GAP)
        draw.rectangle((left, top, left + CELL - 1, top + CELL - 1), fill=FRAME)
        if thumb := thumbnail(record.images[0], CELL, enlarge=True):
            x, y = (CELL - thumb.width) // 2, (CELL - thumb.height) // 2
            sheet.paste(thumb, (left + x, top + y))
        more = len(record.images) - 1
        note = f"and {more} more" if more else ""
        said = next((text for role, text in record.turns if role == ASSISTANT), "")
        first, second = _wrapped(said, font, note)
        draw.text((left, top + CELL + 6), first, INK, font)
        draw.text((left, top + CELL + 23), second, SOFT if note else INK, font)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def thumbnail(data: bytes, side: int, enlarge: bool = False) -> Image.Image | None:
    """The picture made small, or a small one large; None if it cannot be decoded.

    Args:
        data: the encoded picture.
        side: pixels of the longer side, at most.
        enlarge: exactly so many.
    """
    try:
        small = read_image(data, side)
    except UserError:
        return None
    if enlarge:
        return ImageOps.contain(small, (side, side))
    small.thumbnail((side, side))
    return small


def _wrapped(text: str, font: ImageFont.FreeTypeFont, note: str) -> tuple[str, str]:
    """Two lines of a caption; `note` takes the second."""
    first, rest = _line(text.split(), font)
    if note:
        return (_cut(first, font) if rest else first), note
    second, rest = _line(rest, font)
    return first, (_cut(second, font) if rest else second)


def _line(words: list[str], font) -> tuple[str, list[str]]:
    """As many words as fit a cell, at least a part of one; and the others."""
    count = len(words)
    while count > 1 and font.getlength(" ".join(words[:count])) > CELL:
        count -= 1
    line = " ".join(words[:count])
    if font.getlength(line) > CELL:
        line = _cut(line, font)
    return line, words[count:]


def _cut(text, font) -> str:
    """The text with an ellipsis, shortened until it fits."""
    while text and font.getlength(text + "...") > CELL:
        text = text[:-1]
    return text + "..."
