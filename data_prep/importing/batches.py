"""Input files -> batches of records to convert, each of which becomes one shard.

The batches depend on the files alone, so an import cut short finds the same ones again.
A batch of JSON carries its text; a batch of Parquet says where to read, because the
pictures in it may be large.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet as pq

from babyvlm_jax.data.schema import Record
from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault
from data_prep.importing.reading import open_text, parse, read_values
from data_prep.importing.refusal import Refusal

BATCH = 4096  # records of a shard: a fraction of a gigabyte with eight pictures each
_ROWS = 16  # rows of a Parquet file in memory at once


class Converter(Protocol):
    """What makes records out of raw values; travels to worker processes.

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
    """Cuts the files into batches and finds ids that come again.

    Args:
        inputs: the files, in order; of records with the same id the first counts.
        converter: tells ids.
        on_read: told the number of bytes whenever some were read.
        batch_size: records of a batch.

    Raises:
        UserError: a file cannot be read; see `reading.read_values`.
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
    """What a cell holds that no Python value stands for: text that is not UTF-8."""


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
