"""What a split holds: counts by source, lengths, words."""

import collections
import dataclasses
import re
from collections.abc import Iterable

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, IMAGE_MARK, Record

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
# ours: fine where utterances are, coarse where dialogues are; lower bounds
_STARTS = (0, 1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 129, 257, 513, 1025, 2049)
_STARTS += (4097, 8193, 16385)


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
