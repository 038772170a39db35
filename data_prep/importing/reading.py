"""Input files -> raw values, in batches that each become one shard.

JSON lists and JSON Lines are read value by value, however large the file. Bytes that
are not UTF-8 become lone surrogates (U+DC80 to U+DCFF), so that only the record that
contains them is lost: a `Refusal` says why a record is left out.

The batches depend on the files alone, so an import that was killed finds the same ones
again. A batch of JSON carries its text; a batch of Parquet says where to read, because
the images in it may be large.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet as pq

from babyvlm_jax.data.schema import Record
from babyvlm_jax.runtime.errors import (
    UserError,
    check_file,
    raise_system_fault,
    without_addresses,
)

REASONS = {
    "bad_json": "not JSON, or lists in lists without end",
    "not_a_record": "not an object with a list of conversations",
    "not_text": "an utterance that is not a string",
    "bad_id": "the id is neither text nor a whole number, or empty",
    "duplicate_id": "an earlier record of the split has the same id",
    "non_utf8": "text that is not UTF-8",
    "no_turns": "neither a human nor an assistant says anything",
    "roles_out_of_order": "turns are not human, gpt, human, gpt, ...",
    "empty_answer": "an answer without a word",
    "image_marks": "the number of <image> marks is not that of the images",
    "bad_image_field": "the image field is not a path, bytes, or a list of them",
    "other_medium": "about a video or a sound, and no images are given",
    "outside_folder": "the path leads out of the image folder",
    "missing_image": "there is no such image file",
    "image_too_large": "more pixels or bytes than any picture should have",
    "undecodable_image": "not a whole JPEG, PNG or WebP picture",
    "no_choices": "the prompt offers no answers in a form that is known",
    "not_offered": "the answer is none of those that the prompt offers",
    "too_few_rounds": "a dialogue that ends before it tests anything",
    "identical_options": "the right picture is also a wrong one",
    "bad_row": "a row without a value in each column",
    "bad_trial": "rows that are not one item of the test",
    "same_phrases": "both phrases are the same",
}


class Refusal(Exception):
    """A record that is left out.

    Attributes:
        reason: one of `REASONS`.
        detail: what was found in this record.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        told = without_addresses(detail)[:200]
        self.detail = told.encode("utf-8", "backslashreplace").decode()


BLOCK = 2**20  # characters read at a time
LONGEST = 2**26  # characters of one record, far more than a dialogue has
_TAIL = 32  # an error this near to the end may be that of a value cut in two
_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_SCALAR = re.compile(r"[^\s,\]}]*")
_PARTS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.S)


def parse(text: str) -> Any:
    """The JSON value of `text`.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_values(
    path: Path, on_read: Callable[[int], None] = lambda size_bytes: None
) -> Iterator[tuple[str, Any]]:
    """Reads a JSON list of values, or one value a line.

    Args:
        path: the file; a list begins with "[".
        on_read: gets the number of bytes after each read.

    Yields:
        The text of a value, and the value; None for a line that is not JSON, and for
        a value that is nested too deeply or contains a number of thousands of digits.

    Raises:
        UserError: no such file, or a list that breaks off or is not JSON; names the
            record and the line.
    """
    with open_text(path, on_read) as file:
        stream = _Stream(path, file)
        if stream.peek() == "[":
            yield from stream.values()
        else:
            yield from stream.lines()


def open_text(path: Path, on_read: Callable[[int], None]) -> io.TextIOBase:
    """Opens a file as text; other bytes than UTF-8 become lone surrogates.

    Raises:
        UserError: it cannot be opened.
    """
    check_file(path)
    try:
        raw = path.open("rb", buffering=0)
    except OSError as error:
        raise_system_fault(error, path)
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    counted = io.BufferedReader(_Counted(raw, on_read))
    return io.TextIOWrapper(counted, encoding="utf-8-sig", errors="surrogateescape")


class _Counted(io.RawIOBase):
    """A file that reports how much of it was read."""

    def __init__(self, raw, on_read):
        self._raw, self._on_read = raw, on_read

    def readable(self):
        return True

    def readinto(self, buffer):
        size = self._raw.readinto(buffer)
        self._on_read(size)
        return size

    def close(self):
        self._raw.close()
        super().close()


class _Stream:
    """A window on the text of a file, from `at` on."""

    def __init__(self, path, file):
        self._path, self._file = path, file
        self._text, self._at = "", 0
        self._line = 1  # of the start of the window
        self._count = 0  # values read so far
        self._ended = False

    def _fill(self, size: int) -> None:
        """Drops what is used up and reads on."""
        self._line += self._text.count("\n", 0, self._at)
        more = self._file.read(size)
        self._ended = not more
        self._text = self._text[self._at :] + more
        self._at = 0

    def peek(self) -> str:
        """The next character that is not blank, "" at the end."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill(BLOCK)

    def lines(self) -> Iterator[tuple[str, Any]]:
        """One value a line; blank lines are passed over."""
        while self.peek():
            end = self._text.find("\n", self._at)
            size = BLOCK
            while end < 0 and not self._ended:
                self._expect_shorter()
                self._fill(size)
                size *= 2
                end = self._text.find("\n")
            end = len(self._text) if end < 0 else end
            text = self._text[self._at : end]
            self._at = end
            try:
                value = parse(text)
            except ValueError:
                value = None
            yield text, value

    def values(self) -> Iterator[tuple[str, Any]]:
        """The values of a list."""
        self._at += 1
        if self.peek() == "]":
            return
        while True:
            yield self._value()
            mark = self.peek()
            self._at += 1
            if mark == "]":
                break
            if mark != ",":
                self._fail(f"expected ',' or ']', found {mark!r}")
            self.peek()
        if rest := self.peek():
            self._fail(f"expected the end of the file, found {rest!r}")

    def _value(self):
        size = BLOCK
        while True:
            end = None
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string")
                cut = cut or error.pos >= len(self._text) - _TAIL
                if self._ended or not cut:
                    self._fail(error.msg, error.pos)
            except (RecursionError, ValueError) as error:
                # too deep, or a number of thousands of digits: costs one record
                value, end = None, self._end_of_value()
                if self._ended and end is None:
                    self._fail(str(error))
            # the digits of a number may continue in the next block
            if end is not None and (self._ended or end <= len(self._text) - _TAIL):
                text = self._text[self._at : end]
                self._at = end
                self._count += 1
                return text, value
            self._expect_shorter()
            self._fill(size)
            size *= 2

    def _end_of_value(self) -> int | None:
        """Where the value ends by its brackets; None if not within the window."""
        if self._text[self._at] not in "[{":
            return _SCALAR.match(self._text, self._at).end()
        depth = 0
        for part in _PARTS.finditer(self._text, self._at):
            if part[0] in ("[", "{"):
                depth += 1
            elif part[0] in ("]", "}"):
                depth -= 1
                if not depth:
                    return part.end()
        return None

    def _expect_shorter(self):
        if len(self._text) - self._at > LONGEST:
            self._fail(f"a record of more than {LONGEST} characters")

    def _fail(self, why, at=None):
        line = self._line + self._text.count("\n", 0, self._at if at is None else at)
        raise UserError(
            f"{self._path}: not a JSON list of records ({why}; line {line}, after "
            f"{self._count} whole records); mend the file, or give it as JSON Lines, "
            "where a broken line costs one record"
        )


def is_utf8(text: str) -> bool:
    """Whether a string could be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


BATCH = 4096  # records of a shard: a fraction of a gigabyte with eight images each
_ROWS = 16  # rows of a Parquet file in memory at once


class Converter(Protocol):
    """Makes records of raw values; is sent to worker processes.

    `unused` names fields of a record that was made which it does not hold.

    Attributes:
        rename_repeated: a record whose id an earlier one has gets "#2" (or more) after
            it; otherwise it is left out.
    """

    rename_repeated: bool

    def id(self, raw: Any, number: int) -> str: ...

    def record(self, raw: Any, record_id: str) -> Record: ...

    def unused(self, raw: Any) -> Sequence[str]: ...


@dataclasses.dataclass(frozen=True)
class Input:
    """A file to import: `form` is json, lines or parquet; `prefix` goes before ids."""

    path: Path
    form: str
    prefix: str = ""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Consecutive records of one file.

    Attributes:
        input: the file.
        first: number of the first record in the file, from 0.
        size: number of records.
        texts: the records, unless they are in Parquet.
        groups: the Parquet file's row groups that hold them.
        repeated: number of each record whose id an earlier one has -> its new id;
            None = it is to be left out.
    """

    input: Input
    first: int
    size: int
    texts: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    repeated: Mapping[int, str | None] = dataclasses.field(default_factory=dict)

    def raws(self) -> Iterator[tuple[int, Any]]:
        """(number, raw value or the `Refusal` of a line that is not JSON)."""
        if self.input.form == "parquet":
            yield from enumerate(_rows(self.input.path, self.groups), self.first)
            return
        for number, text in enumerate(self.texts, self.first):
            if self.input.form == "lines":
                yield number, text
                continue
            try:
                yield number, parse(text)
            except ValueError as error:
                yield number, Refusal("bad_json", str(error))


def batches(
    inputs: Sequence[Input],
    converter: Converter,
    on_read: Callable[[int], None] = lambda size_bytes: None,
    batch_size: int = BATCH,
) -> Iterator[Batch]:
    """Cuts the files into batches and finds repeated ids.

    Args:
        inputs: the files, in order; of records with the same id the first counts.
        converter: knows ids.
        on_read: gets the number of bytes after each read.
        batch_size: records of a batch.

    Raises:
        UserError: a file cannot be read; see `read_values`.
    """
    seen: set[str] = set()
    for one in inputs:
        cut = _parquet if one.form == "parquet" else _texts
        for batch, raws in cut(one, on_read, batch_size):
            repeated = dict(_repeated(raws, batch, converter, seen))
            yield dataclasses.replace(batch, repeated=repeated)


def _repeated(raws, batch, converter, seen):
    for number, raw in enumerate(raws, batch.first):
        try:
            record_id = batch.input.prefix + converter.id(raw, number)
        except Refusal:
            continue
        if record_id in seen:
            if not converter.rename_repeated:
                yield number, None
                continue
            numbered = (f"{record_id}#{count}" for count in itertools.count(2))
            record_id = next(name for name in numbered if name not in seen)
            yield number, record_id
        seen.add(record_id)


def _texts(one, on_read, batch_size):
    values = _lines(one.path, on_read)
    if one.form == "json":
        values = read_values(one.path, on_read)
    for index in itertools.count():
        part = list(itertools.islice(values, batch_size))
        if not part:
            return
        texts = tuple(text for text, _ in part)
        batch = Batch(one, index * batch_size, len(part), texts)
        yield batch, (value for _, value in part)


def _lines(path, on_read) -> Iterator[tuple[str, str]]:
    with open_text(path, on_read) as file:
        for line in file:
            if line.strip():
                yield line, line


def _parquet(one, on_read, batch_size):
    with _opened(one.path) as file:
        sizes = [
            file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)
        ]
        first, group = 0, 0
        while group < len(sizes):
            start, size = group, sizes[group]
            group += 1
            while group < len(sizes) and size + sizes[group] <= batch_size:
                size += sizes[group]
                group += 1
            groups = tuple(range(start, group))
            raws = ({},) * size
            if "id" in file.schema_arrow.names:
                with _readable(one.path):
                    ids = file.read_row_groups(list(groups), columns=["id"])
                raws = [raw for part in ids.to_batches() for raw in _plain_rows(part)]
            on_read(one.path.stat().st_size * size // max(sum(sizes), 1))
            yield Batch(one, first, size, groups=groups), raws
            first += size


def _rows(path, groups) -> Iterator[dict[str, Any]]:
    with _opened(path) as file, _readable(path):
        for part in file.iter_batches(_ROWS, row_groups=list(groups)):
            yield from _plain_rows(part)


class Unreadable:
    """The content of a cell that no Python value represents: text that is not UTF-8."""


def _plain_rows(part: pyarrow.RecordBatch) -> list[dict[str, Any]]:
    with contextlib.suppress(ValueError, OverflowError):
        return part.to_pylist()
    names = part.schema.names
    columns = [[_value(cell) for cell in column] for column in part.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(cell: pyarrow.Scalar) -> Any:
    """A cell's value; a time that Python's classes cannot hold becomes text."""
    with contextlib.suppress(ValueError, OverflowError):
        return cell.as_py()
    with contextlib.suppress(ValueError, OverflowError, pyarrow.ArrowException):
        return cell.cast(pyarrow.string()).as_py()
    return Unreadable()


def _opened(path):
    check_file(path)
    with _readable(path):
        return pq.ParquetFile(path)


@contextlib.contextmanager
def _readable(path):
    try:
        yield
    except (OSError, pyarrow.ArrowException) as error:
        raise_system_fault(error, path, about_file=True)
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a readable Parquet file ({why})") from None
