"""A LLaVA conversation -> `Record`, or the reason why not.

Fields: `id`, `image` or `images` (a path, a list of paths, or files as Hugging Face
stores them: {"bytes", "path"}), `conversations` ({"from": "human" or "gpt", "value"}).
A record about a video or a sound alone is left out. Every other field becomes part of
the record's meta.
"""

import contextlib
import dataclasses
import decimal
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from data_prep.importing.meta import plain_fields
from data_prep.importing.pictures import checked_picture, read_picture
from data_prep.importing.reading import is_utf8, parse
from data_prep.importing.refusal import Refusal

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
        source: of every record; None tells it from the record.
        task: what a conversation with questions is called, `instruction/TASK`.
        rename_repeated: see `batches.Converter`.
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
        _expect_utf8(str(given))
        return str(given)

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
        _expect_utf8(file)
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
        _expect_utf8(text)
        turns.append((ROLES[role], text))
    return tuple(turns)


def _expect_turns(turns, source):
    if not turns:
        if source == "frames":  # pictures alone, for the vision phase
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


def _expect_utf8(text):
    if not is_utf8(text):
        raise Refusal("non_utf8", text)
