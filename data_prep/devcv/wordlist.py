"""Word lists as those of the MacArthur-Bates inventories (CDI), and words in general.

A list is plain text, a word a line, or a table (commas or tabs) whose header names the
column of words and may name one of categories.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault

WORD_COLUMNS = ("word", "item_definition", "definition", "uni_lemma", "item")
CATEGORY_COLUMNS = ("category", "lexical_category", "section")
_REMARK = re.compile(r"\([^)]*\)|\*")


def normal(word: str) -> str:
    """The form in which words are compared.

    normal("Toy_Cup") -> "toy cup"; normal("fish (animal)") -> "fish"
    """
    return " ".join(re.sub(r"[^a-z0-9']+", " ", _REMARK.sub(" ", word.lower())).split())


def read_words(path: str | Path) -> dict[str, str | None]:
    """Reads a list of words.

    An entry such as `couch/sofa` stands for both words.

    Returns:
        Word in its normal form -> category, None where the list has none.

    Raises:
        UserError: the file cannot be read, has no word, or a table without a column
            of words.
    """
    lines = read_lines(Path(path), "--words")
    delimiter = "\t" if any("\t" in line for line in lines) else ","
    if not any(delimiter in line for line in lines):
        return _entries(((line, None) for line in lines), path)
    try:
        header, *rows = csv.reader(lines, delimiter=delimiter)
    except csv.Error as error:
        raise UserError(f"--words={path}: not a table ({error})") from None
    header = [name.strip().lower() for name in header]
    words = _column(header, WORD_COLUMNS)
    if words is None:
        raise UserError(
            f"--words={path}: no column is called {', '.join(WORD_COLUMNS)}; its "
            f"header is {', '.join(header)}"
        )
    categories = _column(header, CATEGORY_COLUMNS)

    def entry(row):
        return row[words], None if categories is None else row[categories].strip()

    longest = max(words, categories or 0)
    return _entries((entry(row) for row in rows if len(row) > longest), path)


def read_lines(path: Path, flag: str) -> list[str]:
    """The lines of a text file that are not blank.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    check_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise_system_fault(error, path)
        raise UserError(f"{flag}={path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{flag}={path}: not a text file in UTF-8") from None
    return [line for line in text.splitlines() if line.strip()]


def _column(header: list[str], names: Iterable[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _entries(rows, path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for given, category in rows:
        for word in given.split("/"):
            if normal(word):
                found.setdefault(normal(word), category or None)
    if not found:
        raise UserError(f"--words={path}: holds no word")
    return found
