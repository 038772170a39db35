"""The splits of a folder of datasets, and the part of each that is looked at."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from babyvlm_jax.data.schema import VERSION, Record, RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError
from data_prep.inspect.statistics import Statistics, evenly, gather


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a dataset.

    Attributes:
        source: its records.
        limit: how many of them to look at, evenly spaced.
    """

    source: RecordSource
    limit: int

    @property
    def title(self) -> str:
        return f"{self.source.name}/{self.source.split}"

    @property
    def num_looked_at(self) -> int:
        return min(len(self.source), self.limit)

    @functools.cached_property
    def statistics(self) -> Statistics:
        """Of the records that are looked at."""
        indices = evenly(len(self.source), self.limit).tolist()
        bar = tqdm(indices, f"look at {self.title}", unit="record", delay=2)
        return gather(self.source[index] for index in bar)

    def some(self, count: int) -> list[Record]:
        """`count` records, evenly spaced."""
        return [self.source[i] for i in evenly(len(self.source), count).tolist()]


def find_splits(
    shards: str, names: Sequence[str], splits: Sequence[str]
) -> list[tuple[str, str]]:
    """(dataset, split) of those that a folder holds, by name.

    Args:
        shards: the folder.
        names: datasets to find; none = all.
        splits: splits to find; none = all.

    Raises:
        UserError: no such folder, dataset or split, or a damaged description of one.
    """
    root = Path(shards)
    found = {path.parent.name: {} for path in root.glob(f"*/{VERSION}")}
    found = {name: splits_of(root, name) for name in sorted(found)}
    if not found:
        raise UserError(f"{shards}: holds no datasets; give the folder of the shards")
    for name in names:
        if name not in found:
            raise UserError(f"no dataset {name!r} in {shards}; it has {list(found)}")
    chosen = [
        (name, split)
        for name, lengths in found.items()
        if not names or name in names
        for split in lengths
        if not splits or split in splits
    ]
    if not chosen:
        known = sorted({split for lengths in found.values() for split in lengths})
        raise UserError(f"no split {', '.join(splits)} in {shards}; there are {known}")
    return chosen


def open_splits(
    shards: str, names: Sequence[str], splits: Sequence[str], limit: int
) -> list[Split]:
    """Opens splits; arguments and errors as `find_splits` and `Split` have them.

    Raises:
        UserError: as `find_splits`, or one is damaged.
    """
    found = find_splits(shards, names, splits)
    return [Split(RecordSource(shards, *one), limit) for one in found]


def verify_splits(
    shards: str, names: Sequence[str], splits: Sequence[str]
) -> Iterator[str]:
    """Reads every record of the splits; yields a line on each split and fault.

    Raises:
        UserError: as `find_splits`, or, at the end, there were faults.
    """
    count = 0
    for name, split in find_splits(shards, names, splits):
        try:
            source = RecordSource(shards, name, split)
            faults = source.faults()
        except UserError as error:
            faults = [str(error)]
        count += len(faults)
        yield from faults
        if not faults:
            yield f"{name}/{split}: {len(source)} records as they were written"
    if count:
        raise UserError(f"{shards}: {count} files are damaged, see above")
