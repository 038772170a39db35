"""What an inspection draws: a contact sheet (PNG) and a page (HTML, no scripts).

The page shows records as training sees them, token by token, each with what it is for.
"""

import base64
import collections
import dataclasses
import io
import math
from collections.abc import Sequence
from importlib import resources

import jinja2
from PIL import Image, ImageDraw, ImageFont, ImageOps

from babyvlm_jax.data.conversation import Encoded, encode
from babyvlm_jax.data.images import read_image
from babyvlm_jax.data.lengths import stops
from babyvlm_jax.data.schema import ASSISTANT, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError
from data_prep.inspect.splits import Fill, Split, histogram, spread

CELL, GAP, TEXT, MARGIN = 160, 16, 44, 32  # pixels
PAPER, INK, SOFT, FRAME = "#fbfaf7", "#1f1e1b", "#67635b", "#eae6de"


def contact_sheet(records: Sequence[Record], columns: int = 8) -> bytes:
    """Draws the first image of each record, and its first answer under it.

    Args:
        records: those without an image are passed over.
        columns: images in a row of the sheet.

    Returns:
        A PNG file. An image that cannot be decoded is an empty frame.
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
    """The image made small, or a small one large; None if it cannot be decoded.

    Args:
        data: the encoded image.
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


SUPERVISED, CONTEXT, IMAGE = "supervised", "context", "image"


@dataclasses.dataclass(frozen=True)
class Piece:
    """One token, or all tokens of one image.

    Attributes:
        kind: supervised (the model is trained to say it), context, or image.
        text: what it reads; a special token in angle brackets.
        token: its id; of an image, the number of its tokens.
        begins_word: there is a blank before it.
        special: one of the tokenizer's own, as <sos>.
        picture: which of the record's distinct images, from 0; -1 for text.
    """

    kind: str
    text: str
    token: int
    begins_word: bool = False
    special: bool = False
    picture: int = -1


def pieces(
    record: Record, tokenizer: Tokenizer, template: str, tokens_per_image: int
) -> tuple[list[Piece], Encoded]:
    """Tokenises a record as `conversation.encode` does, target of the end included.

    Args:
        record: with turns.
        tokenizer: names the ids.
        template: as in `conversation.encode`.
        tokens_per_image: as in `conversation.encode`.

    Returns:
        The pieces in order, and the encoding they show; it has the distinct images.

    Raises:
        UserError: the record cannot be tokenised under the template.
    """
    encoded = encode(record, tokenizer, template, tokens_per_image)
    ids = [*encoded.tokens.tolist(), *encoded.targets[-1:].tolist()]
    supervised = [False, *encoded.loss_mask.tolist()]
    visual = [*encoded.visual_index.tolist(), -1]
    specials = {
        tokenizer.pad_id: "<pad>",
        tokenizer.unk_id: "<unk>",
        tokenizer.sos_id: "<sos>",
        tokenizer.eos_id: "<eos>",
    }
    found: list[Piece] = []
    run: list[int] = []  # text ids since the last picture or special
    place = 0
    while place < len(ids):
        token = ids[place]
        kind = SUPERVISED if supervised[place] else CONTEXT
        if visual[place] >= 0:
            picture = visual[place] // tokens_per_image
            found.append(Piece(IMAGE, "", tokens_per_image, True, picture=picture))
            place += tokens_per_image
            run = []
            continue
        if token in specials:
            found.append(Piece(kind, specials[token], token, True, special=True))
            run = []
        else:
            # what a token adds to the text before it shows where words begin
            text = tokenizer.decode([*run, token])[len(tokenizer.decode(run)) :]
            begins = not run or text.startswith(" ")
            found.append(Piece(kind, text.strip() or text, token, begins))
            run.append(token)
        place += 1
    return found, encoded


def tally(found: list[Piece]) -> dict[str, int]:
    """Kind -> number of tokens."""
    counts = dict.fromkeys((SUPERVISED, CONTEXT, IMAGE), 0)
    for piece in found:
        counts[piece.kind] += piece.token if piece.kind == IMAGE else 1
    return counts


THUMB = 160  # pixels; shown at half of it, sharp on a dense screen
TOP_WORDS = 60
NOTHING = "nothing to learn: the tokenizer knows no word of the answers"


@dataclasses.dataclass(frozen=True)
class View:
    """How records become tokens.

    Attributes:
        tokenizer: of the run.
        template: of the run.
        tokens_per_image: of the model.
    """

    tokenizer: Tokenizer
    template: str
    tokens_per_image: int


@dataclasses.dataclass(frozen=True)
class Shown:
    """A record on the page; `problem` says why training leaves it out."""

    record: Record
    pieces: list[Piece]
    pictures: list[str]
    counts: dict[str, int]
    problem: str = ""


def show(record: Record, view: View) -> Shown:
    """Tokenises a record for the page."""
    if not record.turns:
        return Shown(record, [], [_source(one) for one in record.images], {})
    try:
        found, encoded = pieces(
            record, view.tokenizer, view.template, view.tokens_per_image
        )
    except UserError as error:
        return Shown(record, [], [_source(i) for i in record.images], {}, str(error))
    problem = "" if stops(encoded)[-1].words else NOTHING
    pictures = [_source(one) for one in encoded.images]
    return Shown(record, found, pictures, tally(found), problem)


def _source(picture: bytes) -> str:
    """A small copy as a data URI; empty if it cannot be decoded."""
    thumb = thumbnail(picture, THUMB)
    if thumb is None:
        return ""
    out = io.BytesIO()
    thumb.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def render(
    title: str, splits: Sequence[Split], view: View, count: int, table: Sequence[Fill]
) -> str:
    """Returns the page.

    Args:
        title: what the shards are called.
        splits: what to show, in order.
        view: how records become tokens.
        count: records to show of each split.
        table: fill of rows; empty = not requested.
    """
    folder = resources.files(__package__)
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": "{:,}".format, "percent": "{:.1%}".format}
    shown = {
        split.title: [show(r, view) for r in split.some(count)] for split in splits
    }
    template = environment.from_string(
        (folder / "page.html").read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        splits=splits,
        view=view,
        shown=shown,
        shares={name: shares(records) for name, records in shown.items()},
        histogram=histogram,
        spread=spread,
        top_words=TOP_WORDS,
        table=table,
    )


def shares(shown: Sequence[Shown]) -> list[tuple[str, float]]:
    """(kind, fraction of the tokens of these records); empty without tokens."""
    totals: collections.Counter = collections.Counter()
    for one in shown:
        totals.update(one.counts)
    everything = totals.total()
    return [(kind, count / everything) for kind, count in totals.items() if everything]
