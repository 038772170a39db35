"""What a split holds, as text."""

from collections.abc import Sequence

from babyvlm_jax.data.schema import Record
from babyvlm_jax.runtime.errors import printable
from data_prep.inspect.splits import Split
from data_prep.inspect.statistics import histogram, spread

COUNTS = ("records", "images", "turns", "words")
BAR = 40  # characters of the longest bar
TOP_WORDS = 24
LONGEST = 100  # characters shown of a turn


def describe(split: Split, first: Sequence[Record]) -> list[str]:
    """Lines on one split: counts by source, lengths, words, some records."""
    stats = split.statistics
    found = [split.title, "=" * len(split.title), "", *_counts(split), ""]
    if stats.totals["words"]:
        found += [f"words in a record: {spread(stats.lengths)}", ""]
        found += [*_bars(histogram(stats.lengths)), "", *_words(stats.answer_words), ""]
    for record in first:
        found += [*_record(record), ""]
    return [printable(line) for line in found]


def _counts(split) -> list[str]:
    stats = split.statistics
    width = max(len("source"), *map(len, stats.sources))
    lines = [f"{'source':{width}}" + "".join(f"{what:>12}" for what in COUNTS)]
    for name, counts in stats.sources.items():
        cells = "".join(f"{counts[what]:12,}" for what in COUNTS)
        lines.append(f"{name:{width}}{cells}")
    if len(stats.sources) > 1:
        cells = "".join(f"{stats.totals[what]:12,}" for what in COUNTS)
        lines.append(f"{'all':{width}}{cells}")
    if split.num_looked_at < len(split.source):
        lines.append(
            f"(in {split.num_looked_at:,} of {len(split.source):,} records, evenly "
            "spaced; --limit looks at more)"
        )
    return lines


def _bars(bins) -> list[str]:
    most = max(count for _, count in bins)
    width = max(len(label) for label, _ in bins)
    total = sum(count for _, count in bins)
    return [
        f"  {label:>{width}}  {'█' * round(BAR * count / most):{BAR}}  "
        f"{count:,} ({count / total:.1%})"
        for label, count in bins
    ]


def _words(counted) -> list[str]:
    top = ", ".join(
        f"{word} {count:,}" for word, count in counted.most_common(TOP_WORDS)
    )
    once = sum(count == 1 for count in counted.values())
    return [
        f"answers have {counted.total():,} words, {len(counted):,} different, "
        f"{once:,} of them once",
        f"  {top}",
    ]


def _record(record: Record) -> list[str]:
    sizes = ", ".join(f"{len(image) / 1000:.1f} kB" for image in record.images)
    lines = [f"{record.id} ({record.source})", f"  images     {sizes or 'none'}"]
    for role, text in record.turns:
        lines.append(f"  {role:9}  {_shortened(' '.join(text.split()))}")
    if record.meta:
        lines.append(f"  meta       {_shortened(str(dict(record.meta)))}")
    return lines


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
