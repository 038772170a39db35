"""Looks at shards: counts, lengths, words, first records, images, tokens.

  # all datasets of a folder, as text
  python -m data_prep.inspect runs/demo/shards

  # one split: a page with every token coloured by what it is for, and a contact sheet
  python -m data_prep.inspect runs/demo/shards --name=image_utterance --split=train \\
      --tokenizer=runs/demo/tokenizer.model --html=look.html --sheet=look.png

  # which seq_len and max_images leave the least padding
  python -m data_prep.inspect runs/demo/shards --name=interleaved --split=train \\
      --tokenizer=runs/demo/tokenizer.model --fill

  # reads every record and compares it with the hash that was stored when it was written
  python -m data_prep.inspect runs/demo/shards --verify

Exit codes: 0 finished, 78 bad input.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from babyvlm_jax.data.conversation import check_template
from babyvlm_jax.data.lengths import Stops, join, record_stops
from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError, add_command_flags, printable, run_main
from data_prep.importing.flags import command_parser
from data_prep.inspect.page import View, contact_sheet, render
from data_prep.inspect.splits import (
    Split,
    evenly,
    fill_lines,
    histogram,
    open_splits,
    spread,
    tabulate,
    verify_splits,
)
from data_prep.jobs import write_whole

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
    rows = list(stats.sources.items())
    if len(rows) > 1:
        rows.append(("all", stats.totals))
    lines = [f"{'source':{width}}" + "".join(f"{what:>12}" for what in COUNTS)]
    lines += [
        f"{name:{width}}" + "".join(f"{counts[what]:12,}" for what in COUNTS)
        for name, counts in rows
    ]
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
    told = [(role, " ".join(text.split())) for role, text in record.turns]
    if record.meta:
        told.append(("meta", str(dict(record.meta))))
    return [
        f"{record.id} ({record.source})",
        f"  images     {sizes or 'none'}",
        *(f"  {name:9}  {_shortened(text)}" for name, text in told),
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def parser() -> argparse.ArgumentParser:
    """The flags."""
    top = command_parser("data_prep.inspect", __doc__)
    add = top.add_argument
    add("shards", metavar="SHARDS", help="folder of the datasets")
    add("--name", action="append", default=[], help="dataset (default: all)")
    add("--split", action="append", default=[], help="split (default: all)")
    add("--limit", type=int, default=20_000, help="records to look at (default 20000)")
    add("--first", type=int, default=3, help="records to print (default 3)")
    add("--sheet", metavar="FILE.png", help="write a contact sheet")
    add("--pictures", type=int, default=48, help="on the sheet (default 48)")
    add("--html", metavar="FILE.html", help="write a page; needs --tokenizer")
    add("--records", type=int, default=20, help="of a split on the page (default 20)")
    add("--fill", action="store_true", help="fill of rows; needs --tokenizer")
    add("--verify", action="store_true", help="read everything, show nothing else")
    add("--tokenizer", metavar="FILE", help="of the run")
    add("--template", default="baby_v1", help="of the run (default baby_v1)")
    add("--tokens-per-image", type=int, default=197, help="of the model (default 197)")
    add_command_flags(top)
    return top


def inspect(args: argparse.Namespace) -> None:
    """Prints and writes what the flags request.

    Raises:
        UserError: a bad flag, or no such shards.
    """
    for flag in ("limit", "first", "pictures", "records", "tokens_per_image"):
        if (value := vars(args)[flag]) < (flag not in ("first", "records")):
            raise UserError(f"--{flag.replace('_', '-')}={value} is too small")
    check_template(args.template)
    if (args.html or args.fill) and not args.tokenizer:
        raise UserError("--html and --fill need --tokenizer=FILE.model")
    if args.verify:
        for line in verify_splits(args.shards, args.name, args.split):
            print(printable(line))
        return
    splits = open_splits(args.shards, args.name, args.split, args.limit)
    for split in splits:
        print("\n".join(describe(split, split.some(args.first))))
    if args.sheet:
        _write(args.sheet, contact_sheet(_with_pictures(splits, args.pictures)))
    if not args.tokenizer:
        return
    tokenizer = Tokenizer.load(args.tokenizer)
    view = View(tokenizer, args.template, args.tokens_per_image)
    table = []
    if args.fill:
        table = tabulate(_stops(splits, view, args.limit))
        print("\n".join(fill_lines(table)))
    if args.html:
        title = "/".join(Path(args.shards).resolve().parts[-2:])
        html = render(title, splits, view, args.records, table)
        _write(args.html, html.encode())


def _with_pictures(splits: Sequence[Split], count: int):
    """About as many records of every split as make `count`."""
    share = -(-count // len(splits))
    return [r for split in splits for r in split.some(share) if r.images][:count]


def _stops(splits: Sequence[Split], view: View, limit: int) -> Stops:
    """Of the conversations in the splits, all in their proportions."""
    found = [
        record_stops(
            split.source, view.tokenizer, view.template, view.tokens_per_image, True
        )
        for split in splits
        if split.source[0].turns
    ]
    if not found:
        raise UserError("no split has conversations; --fill is about those")
    together = join(found)
    return together.take(evenly(len(together.starts), limit))


def _write(path: str, data: bytes) -> None:
    try:
        write_whole(Path(path), data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"wrote {path}")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    args = parser().parse_args(argv)
    run_main(lambda: inspect(args), args.debug)


if __name__ == "__main__":
    main()
