"""Splits of a folder of datasets: what they contain and how their rows fill.

`Split` is the part of a split that is inspected, `Statistics` its counts by source,
lengths and words; `tabulate` packs its records into rows of every size, to show which
tokens T and image slots M to train with.
"""

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from babyvlm_jax.data.lengths import Stops
from babyvlm_jax.data.packing import Capacity, fits, plan
from babyvlm_jax.data.schema import ASSISTANT, IMAGE_MARK, VERSION, Record, RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
# ours: fine where utterances are, coarse where dialogues are; lower bounds
_STARTS = (
    *(0, 1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 129, 257, 513, 1025, 2049),
    *(4097, 8193, 16385),
)


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of the records that were looked at.

    Attributes:
        sources: source -> records, images, turns, words.
        lengths: words of each record, both roles.
        answer_words: word -> how often an assistant says it, lower case.
    """

    sources: dict[str, collections.Counter]
    lengths: np.ndarray
    answer_words: collections.Counter

    @property
    def totals(self) -> collections.Counter:
        """records, images, turns and words of all sources."""
        return sum(self.sources.values(), collections.Counter())


def gather(records: Iterable[Record]) -> Statistics:
    """Counts what records hold; a word is letters and digits, with apostrophes."""
    sources: dict[str, collections.Counter] = {}
    answer_words: collections.Counter = collections.Counter()
    lengths = []
    for record in records:
        count = 0
        for role, text in record.turns:
            found = words(text)
            count += len(found)
            if role == ASSISTANT:
                answer_words.update(found)
        lengths.append(count)
        sources.setdefault(record.source, collections.Counter()).update(
            records=1, images=len(record.images), turns=len(record.turns), words=count
        )
    ordered = {name: sources[name] for name in sorted(sources)}
    return Statistics(ordered, np.array(lengths, np.int64), answer_words)


def words(text: str) -> list[str]:
    """Lower-case words of a text; words("<image> There's a ball!") has three."""
    return _WORD.findall(text.replace(IMAGE_MARK, " ").lower())


def histogram(lengths: np.ndarray) -> list[tuple[str, int]]:
    """(range, count) from the shortest to the longest.

    histogram([1, 5, 6]) == [("1", 1), ("2", 0), ("3", 0), ("4", 0), ("5-6", 2)]
    """
    if not len(lengths):
        return []
    bins = np.searchsorted(_STARTS, lengths, side="right") - 1
    counts = np.bincount(bins, minlength=len(_STARTS))
    first, last = int(bins.min()), int(bins.max())
    return [(_label(i), int(counts[i])) for i in range(first, last + 1)]


def _label(i: int) -> str:
    start = _STARTS[i]
    if i + 1 == len(_STARTS):
        return f"{start}-"
    end = _STARTS[i + 1] - 1
    return str(start) if start == end else f"{start}-{end}"


def spread(lengths: np.ndarray) -> str:
    """Least, median, mean, 95th percentile and most, in words."""
    if not len(lengths):
        return "none"
    return (
        f"least {lengths.min()}, median {np.median(lengths):g}, "
        f"mean {lengths.mean():.1f}, 95 % at most "
        f"{np.percentile(lengths, 95, method='higher'):g}, most {lengths.max()}"
    )


def evenly(count: int, limit: int) -> np.ndarray:
    """At most `limit` indices below `count`, evenly spaced, the first among them.

    evenly(10, 4) == [0, 2, 5, 7]
    """
    limit = min(count, limit)
    return np.arange(limit, dtype=np.int64) * count // max(limit, 1)


SIZES = (1024, 2048, 4096, 8192)
# ours: image slots as multiples of what the mean record needs
SHARES = (0.9, 1.0, 1.1, 1.25)
_SAME = 0.002  # difference of fill that does not pay for more image slots


@dataclasses.dataclass(frozen=True)
class Fill:
    """One size of row.

    Attributes:
        tokens: T.
        images: M.
        fill_tokens: fraction of tokens that are not padding.
        fill_images: fraction of image slots in use.
        cut: fraction of the records that lose their last turns.
        left_out: fraction of which not even the first answer fits, or no answer has a
            word that the tokenizer knows.
        best: this is the size to take for its T; `best_of_all`: for any.
    """

    tokens: int
    images: int
    fill_tokens: float
    fill_images: float
    cut: float
    left_out: float
    best: bool = False
    best_of_all: bool = False

    @property
    def not_whole(self) -> float:
        return self.cut + self.left_out


def tabulate(stops: Stops, sizes: Sequence[int] = SIZES, seed: int = 0) -> list[Fill]:
    """Packs the records into rows of every size.

    The best M of a T leaves the most records whole; of these it fills best, and of
    those that fill alike it has the fewest slots. The best T is chosen in the same way.

    Args:
        stops: of the records; long ones are cut as in training.
        sizes: the T to try.
        seed: of the packing.

    Returns:
        A row for each T and M in which some record fits, by T and M.

    Raises:
        UserError: there is no record, or none fits or teaches anything.
    """
    if not len(stops.starts):
        raise UserError("no record to pack")
    if not stops.whole().teaches.any():
        raise UserError("no answer has a word that the tokenizer knows; check both")
    table = []
    for tokens in sizes:
        packed = [
            _pack(stops, Capacity(tokens, images), seed)
            for images in slots(stops, tokens)
        ]
        here = [one for one in packed if one]
        if here:
            best = choose(here)
            table += [dataclasses.replace(one, best=one is best) for one in here]
    if not table:
        raise UserError(
            f"no record fits a row of {max(sizes)} tokens; the shortest needs "
            f"{stops.sizes[:, 0].min()}"
        )
    best = choose([one for one in table if one.best])
    return [dataclasses.replace(one, best_of_all=one is best) for one in table]


def slots(stops: Stops, tokens: int) -> list[int]:
    """The M to try for a T: around as many images as T tokens bring along.

    Records of 100 tokens with one image each: slots(..., 1000) == [9, 10, 11, 12].
    """
    capacity = Capacity(tokens, np.iinfo(np.int32).max)
    sizes = stops.in_rows(capacity).sizes
    fit = sizes[fits(sizes, capacity)]
    if not len(fit) or not fit[:, 1].any():
        return [0]
    usual = tokens * fit[:, 1].sum() / fit[:, 0].sum()
    least = int(fit[:, 1].max())  # or records would be cut for their pictures
    return sorted({max(round(usual * share), least, 1) for share in SHARES})


def choose(table: Sequence[Fill]) -> Fill:
    """The row to take, see `tabulate`."""
    fewest = min(one.not_whole for one in table)
    table = [one for one in table if one.not_whole == fewest]
    fullest = max(one.fill_tokens for one in table)
    alike = [one for one in table if one.fill_tokens >= fullest - _SAME]
    return min(alike, key=lambda one: (one.tokens, one.images))


def _pack(stops, capacity, seed) -> Fill | None:
    lengths = stops.in_rows(capacity)
    usable = lengths.teaches & fits(lengths.sizes, capacity)
    if not usable.any():
        return None
    made = plan(lengths.sizes[usable], capacity, seed, 0)
    return Fill(
        tokens=capacity.tokens,
        images=capacity.images,
        fill_tokens=made.fill_tokens,
        fill_images=made.fill_images,
        cut=float((lengths.truncated & usable).mean()),
        left_out=float((~usable).mean()),
    )


def fill_lines(table: Sequence[Fill]) -> list[str]:
    """The table as text; the best M of each T has a star, the best of all two."""
    found = [
        f"{'T':>6} {'M':>5} {'tokens used':>12} {'slots used':>11} "
        f"{'cut':>7} {'left out':>9}"
    ]
    for one in table:
        star = "**" if one.best_of_all else "*" if one.best else ""
        line = (
            f"{one.tokens:6} {one.images:5} {one.fill_tokens:12.1%} "
            f"{one.fill_images:11.1%} {one.cut:7.2%} {one.left_out:9.2%} {star}"
        )
        found.append(line.rstrip())
    best = next(one for one in table if one.best_of_all)
    found.append(
        f"best: --config.data.seq_len={best.tokens} "
        f"--config.data.max_images={best.images}, {best.fill_tokens:.1%} of the tokens "
        "are not padding"
    )
    return found


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
    """(dataset, split) of those in a folder, by name.

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
        raise UserError(
            f"{shards}: contains no datasets; give the folder of the shards"
        )
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
