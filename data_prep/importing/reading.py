"""Values of a JSON list or of JSON Lines, one after the other, however large the file.

Bytes that are not UTF-8 become lone surrogates (U+DC80 to U+DCFF), so that only the
record that holds them is lost.
"""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault

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
        on_read: told the number of bytes whenever some were read.

    Yields:
        The text of a value, and the value; None for a line that is not JSON, and for
        a value that is nested too deeply or holds a number of thousands of digits.

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
    """A file that tells how much of it was read."""

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
            # the digits of a number may go on in the next block
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
