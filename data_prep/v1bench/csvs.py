"""The published CSV files of the four tests -> rows, grouped into items.

A file's columns say which test it is of. What is wrong with a row is a `Refusal` that
names it; what is wrong with the whole file is a `UserError`.
"""

import csv
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from babyvlm_jax.data.schema import IMAGE_MARK
from babyvlm_jax.runtime.errors import UserError
from data_prep.importing.reading import LONGEST, Refusal, is_utf8, open_text
from data_prep.v1bench.records import (
    CAPTION,
    LABELED_S,
    MAX_OPTIONS,
    TWO_WORD,
    WINOGROUND,
)

# Source: BabyVLM V1's evaluation code
COLUMNS = {
    LABELED_S: ("trial_id", "target_category", "real_category", "image"),
    TWO_WORD: ("image", "positive_phrase", "negative_phrase"),
    WINOGROUND: (
        *("instance_id", "positive_phrase", "negative_phrase"),
        *("image", "image_tag"),
    ),
    CAPTION: ("image", "text"),
}
# Rows with the same value of this column are one item.
GROUPS = {LABELED_S: "trial_id", WINOGROUND: "instance_id"}
POSITIVE, NEGATIVE = "positive", "negative"


@dataclasses.dataclass(frozen=True)
class Item:
    """The rows of one item.

    Attributes:
        line: of the first row in the file, from 1.
        name: id of the record.
        rows: column -> value; None for a row that cannot be read.
    """

    line: int
    name: str
    rows: tuple[Mapping[str, str] | None, ...]


def read_items(path: Path) -> tuple[str, list[Item]]:
    """Reads a file.

    Returns:
        The task, and its items in the order of the file.

    Raises:
        UserError: it cannot be read, or its columns are those of none of the tests.
    """
    with open_text(path, lambda size_bytes: None) as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        # of Python's reader, for the whole process: longer fields end the file
        before = csv.field_size_limit(LONGEST)
        try:
            task = _task_of(path, reader.fieldnames or ())
            rows = list(_rows(reader, COLUMNS[task]))
        except csv.Error as error:
            raise UserError(
                f"{path}, line {reader.line_num}: not a CSV file ({error})"
            ) from None
        finally:
            csv.field_size_limit(before)
    return task, list(_grouped(task, rows))


def _task_of(path: Path, columns: Sequence[str]) -> str:
    given = {str(name).strip() for name in columns}
    fits = [task for task, wanted in COLUMNS.items() if set(wanted) <= given]
    if not fits:
        known = "; ".join(f"{task}: {','.join(c)}" for task, c in COLUMNS.items())
        raise UserError(
            f"{path}: columns {sorted(given)} are those of no test; expected {known}"
        )
    return max(fits, key=lambda task: len(COLUMNS[task]))  # vtwt's are winoground's too


def _rows(reader, columns) -> Iterator[tuple[int, dict[str, str] | None]]:
    for row in reader:
        values = {str(k).strip(): v for k, v in row.items() if k is not None}
        fields = {name: (values.get(name) or "").strip() for name in columns}
        whole = None not in row and all(fields.values())
        yield reader.line_num, fields if whole else None


def _grouped(task, rows) -> Iterator[Item]:
    if task not in GROUPS:
        seen: set[str] = set()
        for line, row in rows:
            name = Path(row["image"]).stem if row else f"line {line}"
            numbered = (f"{name}#{count}" for count in itertools.count(2))
            names = itertools.chain([name], numbered)
            name = next(one for one in names if one not in seen)
            seen.add(name)
            yield Item(line, name, (row,))
        return
    groups: dict[str, list] = {}
    for line, row in rows:
        key = row[GROUPS[task]] if row else f"line {line}"
        groups.setdefault(key, []).append((line, row))
    for key, members in groups.items():
        found = tuple(row for _, row in members)
        yield Item(members[0][0], f"{task}_{key}", found)


def check(task: str, item: Item) -> None:
    """Raises Refusal unless the rows make an item."""
    if None in item.rows:
        raise Refusal("bad_row", f"line {item.line} lacks a value or has one too many")
    for row in item.rows:
        if not all(map(is_utf8, row.values())):
            raise Refusal("non_utf8", str(row))
        if any(IMAGE_MARK in value for value in row.values()):
            raise Refusal("image_marks", f"{IMAGE_MARK} in the text")
    first = item.rows[0]
    if task == LABELED_S:
        right = [r["real_category"] == r["target_category"] for r in item.rows]
        if len({r["target_category"] for r in item.rows}) != 1 or sum(right) != 1:
            raise Refusal("bad_trial", f"{sum(right)} rows show the word asked for")
        if not 2 <= len(item.rows) <= MAX_OPTIONS:
            raise Refusal("bad_trial", f"{len(item.rows)} rows, not 2 to {MAX_OPTIONS}")
    if task == WINOGROUND:
        tags = sorted(row["image_tag"] for row in item.rows)
        if tags != [NEGATIVE, POSITIVE]:
            raise Refusal("bad_trial", f"the tags are {tags}, not one of each")
        if len({(r["positive_phrase"], r["negative_phrase"]) for r in item.rows}) != 1:
            raise Refusal("bad_trial", "the rows have different phrases")
    if task in (TWO_WORD, WINOGROUND):
        phrases = [first["positive_phrase"], first["negative_phrase"]]
        if phrases[0].lower() == phrases[1].lower():
            raise Refusal("same_phrases", f"both are {phrases[0]!r}")
