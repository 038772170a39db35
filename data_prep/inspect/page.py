"""The page of an inspection: one HTML file, no scripts, nothing from elsewhere."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from importlib import resources

import jinja2

from babyvlm_jax.data.lengths import stops
from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError
from data_prep.inspect.fill import Fill
from data_prep.inspect.pieces import Piece, pieces, tally
from data_prep.inspect.sheet import thumbnail
from data_prep.inspect.splits import Split
from data_prep.inspect.statistics import histogram, spread

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
        table: fill of rows; empty = not asked for.
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
    totals: dict[str, int] = {}
    for one in shown:
        for kind, count in one.counts.items():
            totals[kind] = totals.get(kind, 0) + count
    everything = sum(totals.values())
    return [(kind, count / everything) for kind, count in totals.items() if everything]
