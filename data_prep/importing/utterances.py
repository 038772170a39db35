"""An utterance -> `Record`: a string, or a line of a transcript with a `text`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from babyvlm_jax.data.schema import ASSISTANT, IMAGE_MARK, Record
from data_prep.importing.meta import plain_fields
from data_prep.importing.reading import is_utf8
from data_prep.importing.refusal import Refusal

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
        """One assistant turn without a picture; runs of blanks become one.

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
        if not is_utf8(text):
            raise Refusal("non_utf8", text)
        text = " ".join(text.split())
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
