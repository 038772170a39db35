"""Raw values -> `Record`, or the reason why not.

`Llava` converts conversations. Fields: `id`, `image` or `images` (a path, a list of
paths, or files as Hugging Face stores them: {"bytes", "path"}), `conversations`
({"from": "human" or "gpt", "value"}). A record about a video or a sound alone is left
out. `Utterances` converts plain text: strings, or lines of a transcript with a `text`.
Every other field becomes part of the record's meta if JSON can hold it.
"""

import contextlib
import dataclasses
import datetime
import decimal
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from data_prep.importing.pictures import checked_picture, read_picture
from data_prep.importing.reading import Refusal, is_utf8, parse

DEEPEST = 50  # levels of lists and objects
# Parquet has these, JSON has not; their text says all that they say.
_AS_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)


class _NoJson(Exception):
    """A value that has no place in JSON: bytes, an infinite number."""


def plain_fields(
    fields: Mapping[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Fields as JSON has them.

    {"age": 3.0, "day": date(2013, 9, 1), "gap": nan, "mask": b"..."} gives

        {"age": 3.0, "day": "2013-09-01", "gap": None}, ["mask"]

    Returns:
        The fields, and the names of those that no JSON can hold, wholly or in part.

    Raises:
        Refusal: bad_json, too deep; non_utf8.
    """
    kept, unused = {}, []
    for name, value in fields.items():
        try:
            kept[_text(name)] = _plain(value, DEEPEST - 1)
        except _NoJson:
            unused.append(name)
    return kept, unused


def _plain(value: Any, levels: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        if math.isinf(value):
            raise _NoJson
        return None if math.isnan(value) else value  # pandas' way to say null
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, Mapping | list | tuple):
        if not levels:
            raise Refusal("bad_json", f"more than {DEEPEST} levels deep")
        if isinstance(value, Mapping):
            return {_text(k): _plain(v, levels - 1) for k, v in value.items()}
        return [_plain(one, levels - 1) for one in value]
    raise _NoJson


def _text(value: Any) -> str:
    text = str(value)
    if not is_utf8(text):
        raise Refusal("non_utf8", text)
    return text


_PLAIN = str | int | float


@dataclasses.dataclass(frozen=True)
class Utterances:
    """How to make records of plain text; their ids are never the same."""

    rename_repeated: bool = False

    def id(self, raw: Any, number: int) -> str:
        """The number of the utterance in its file."""
        return f"{number:09d}"

    def unused(self, raw: Any) -> Sequence[str]:
        """None: the fields that are kept are known."""
        return ()

    def record(self, raw: Any, record_id: str) -> Record:
        """One assistant turn without an image; runs of blanks become one.

        Args:
            raw: a string, or an object whose `text` is one; the times, confidence and
                speaker of a transcript line become the record's meta.
            record_id: unique within the split.

        Raises:
            Refusal: not_text, non_utf8, empty_answer or image_marks.
        """
        text = raw.get("text") if isinstance(raw, Mapping) else raw
        if not isinstance(text, str):
            raise Refusal("not_text", f"a {type(raw).__name__}")
        text = " ".join(_text(text).split())
        if not text:
            raise Refusal("empty_answer", "no words")
        if IMAGE_MARK in text:
            raise Refusal("image_marks", f"{IMAGE_MARK} in plain text")
        keep = ("start_s", "end_s", "confidence", "speaker")
        meta = {}
        if isinstance(raw, Mapping):
            given = {key: raw[key] for key in keep if isinstance(raw.get(key), _PLAIN)}
            meta, _ = plain_fields(given)
        return Record(record_id, "text", (), ((ASSISTANT, text),), meta)


ROLES = {"human": HUMAN, "user": HUMAN, "gpt": ASSISTANT, "assistant": ASSISTANT}
LONGEST_ID = 1000  # characters
MEDIA = ("video", "videos", "video_path", "audio", "audios", "audio_path", "speech")
_MEDIUM = "<(video|audio|speech|sound)>"
# where a data set puts it; `the <video> tag of a page` is a sentence like any other
_MEDIUM_MARK = re.compile(rf"\A\s*{_MEDIUM}|^\s*{_MEDIUM}\s*$|{_MEDIUM}\s*\Z", re.M)
_EXACT = 2**53  # larger whole numbers may have been others before they were floats
_KNOWN = ("id", "image", "images", "conversations", "source", "meta")
_SOURCE = re.compile(
    "text|frames|image_utterance|video_utterance|interleaved"
    r"|(instruction|eval)/[A-Za-z0-9_.-]+"
)


@dataclasses.dataclass(frozen=True)
class Llava:
    """How to make records.

    Attributes:
        images: the image folder, absolute and without symbolic links; None if the
            records bring no paths.
        max_side: see `pictures.checked_picture`.
        source: of every record; None infers it from the record.
        task: what a conversation with questions is called, `instruction/TASK`.
        rename_repeated: see `reading.Converter`.
    """

    images: Path | None
    max_side: int
    source: str | None
    task: str
    rename_repeated: bool = False

    def id(self, raw: Any, number: int) -> str:
        """The record's id, or its number in the file if it brings none.

        Raises:
            Refusal: bad_id or non_utf8.
        """
        given = raw.get("id") if isinstance(raw, Mapping) else None
        if given is None or given != given:  # pandas' NaN beside whole numbers
            return f"{number:09d}"
        if isinstance(given, float | decimal.Decimal):
            given = _whole(given)
        if isinstance(given, bool) or not isinstance(given, str | int):
            raise Refusal("bad_id", f"a {type(given).__name__}")
        if not 0 < len(str(given)) <= LONGEST_ID:
            raise Refusal("bad_id", f"{len(str(given))} characters")
        return _text(given)

    def unused(self, raw: Any) -> Sequence[str]:
        """Names of the record's fields that its meta cannot hold."""
        return _meta(raw, None)[1]

    def record(self, raw: Any, record_id: str) -> Record:
        """The record.

        Args:
            raw: one value of the JSON file.
            record_id: unique within the split.

        Raises:
            Refusal: the record cannot be used.
        """
        if not isinstance(raw, Mapping):
            raise Refusal("not_a_record", f"a {type(raw).__name__}")
        turns, files = _turns(raw.get("conversations")), _files(raw)
        given = raw.get("source")
        given = given if is_source(given) else None
        source = self.source or given or source_of(turns, files, self.task)
        meta, _ = _meta(raw, given)
        _expect_turns(turns, source)
        if not files:
            _expect_no_medium(raw, turns)
        marks = sum(text.count(IMAGE_MARK) for _, text in turns)
        if turns and marks != len(files):
            raise Refusal("image_marks", f"{marks} marks, {len(files)} images")
        pictures = tuple(self._picture(file) for file in files)
        return Record(record_id, source, pictures, turns, meta)

    def _picture(self, file):
        if isinstance(file, bytes):
            return checked_picture(file, self.max_side, "bytes in the record")
        _text(file)
        if self.images is None:
            raise Refusal("missing_image", f"{file} (no image folder was given)")
        return checked_picture(read_picture(self.images, file), self.max_side, file)


def is_source(name: Any) -> bool:
    """Whether a value is a source as records have it (see `schema.Record`)."""
    return isinstance(name, str) and _SOURCE.fullmatch(name) is not None


def source_of(turns: tuple, files: list, task: str) -> str:
    """Names what a record is by its form, as in BabyVLM-V2's three formats.

    source_of((("human", "<image>"), ("assistant", "a ball")), ["a.jpg"], "t")
    == "image_utterance"
    """
    asked = any(
        text.replace(IMAGE_MARK, "").strip() for role, text in turns if role == HUMAN
    )
    if asked:
        return f"instruction/{task}"
    if not files:
        return "text"
    if len(turns) > 2:
        return "interleaved"
    return "image_utterance" if len(files) == 1 else "video_utterance"


def _turns(conversations) -> tuple[tuple[str, str], ...]:
    if not isinstance(conversations, list):
        raise Refusal("not_a_record", "no list of conversations")
    turns = []
    for turn in conversations:
        if not isinstance(turn, Mapping):
            raise Refusal("not_a_record", f"a turn is a {type(turn).__name__}")
        role, text = turn.get("from"), turn.get("value")
        if not isinstance(role, str) or role not in ROLES:
            raise Refusal("roles_out_of_order", f"turn from {role!r}")
        if not isinstance(text, str):
            raise Refusal("not_a_record", f"a turn says a {type(text).__name__}")
        turns.append((ROLES[role], _text(text)))
    return tuple(turns)


def _expect_turns(turns, source):
    if not turns:
        if source == "frames":  # images alone, for the vision phase
            return
        raise Refusal("no_turns", "an empty list of conversations")
    roles = tuple(role for role, _ in turns)
    pairs = (HUMAN, ASSISTANT) * (len(turns) // 2)
    if roles not in (pairs, (ASSISTANT,)):  # one answer alone is plain text
        raise Refusal("roles_out_of_order", ", ".join(roles))
    for role, text in turns:
        if role == ASSISTANT and not text.replace(IMAGE_MARK, "").strip():
            raise Refusal("empty_answer", repr(text))


def _whole(given: float | decimal.Decimal) -> int:
    """1.0 is 1: a column of whole numbers with a gap is one of floats in Parquet."""
    if not math.isfinite(given) or given != int(given) or abs(given) > _EXACT:
        raise Refusal("bad_id", f"the number {given}")
    return int(given)


def _expect_no_medium(raw, turns) -> None:
    """A text about a video or a sound that is not there teaches to make things up."""
    for field in MEDIA:
        if not _is_empty(raw.get(field)):
            raise Refusal("other_medium", f"{field}: {raw[field]!a:.100}")
    for _, text in turns:
        if found := _MEDIUM_MARK.search(text):
            raise Refusal("other_medium", f"the mark {found[0].strip()}")


def _is_empty(value: Any) -> bool:
    return (
        value is None or value == [] or (isinstance(value, str) and not value.strip())
    )


def _files(raw) -> list[str | bytes]:
    found = next((raw[k] for k in ("image", "images") if not _is_empty(raw.get(k))), [])
    return [_file(one) for one in (found if isinstance(found, list) else [found])]


def _file(one) -> str | bytes:
    if isinstance(one, Mapping):
        one = one.get("bytes") or one.get("path")
    if not isinstance(one, str | bytes):
        raise Refusal("bad_image_field", f"a {type(one).__name__}")
    if not one.strip():
        raise Refusal("bad_image_field", "an empty path")
    return one


def _meta(raw, source) -> tuple[dict[str, Any], list[str]]:
    """The record's meta, and the names of fields that it cannot hold."""
    meta = {key: value for key, value in raw.items() if key not in _KNOWN}
    if source is None and raw.get("source") is not None:
        meta["source"] = raw["source"]
    own = raw.get("meta")
    if isinstance(own, str):  # as our own Parquet files hold it
        with contextlib.suppress(ValueError):
            own = parse(own)
    if isinstance(own, Mapping):
        meta = {**own, **meta}
    elif own is not None:
        meta["meta"] = own
    return plain_fields(meta)
