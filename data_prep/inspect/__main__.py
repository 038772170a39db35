"""Looks at shards: counts, lengths, words, first records, pictures, tokens.

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
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError, add_command_flags, printable, run_main
from data_prep.importing.flags import command_parser
from data_prep.inspect import fill, page, terminal
from data_prep.inspect.sheet import contact_sheet
from data_prep.inspect.splits import Split, open_splits, verify_splits
from data_prep.inspect.statistics import evenly
from data_prep.jobs import write_whole


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
    """Prints and writes what the flags ask for.

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
        print("\n".join(terminal.describe(split, split.some(args.first))))
    if args.sheet:
        _write(args.sheet, contact_sheet(_with_pictures(splits, args.pictures)))
    if not args.tokenizer:
        return
    tokenizer = Tokenizer.load(args.tokenizer)
    view = page.View(tokenizer, args.template, args.tokens_per_image)
    table = []
    if args.fill:
        table = fill.tabulate(_stops(splits, view, args.limit))
        print("\n".join(fill.lines(table)))
    if args.html:
        title = "/".join(Path(args.shards).resolve().parts[-2:])
        html = page.render(title, splits, view, args.records, table)
        _write(args.html, html.encode())


def _with_pictures(splits: Sequence[Split], count: int):
    """About as many records of every split as make `count`."""
    share = -(-count // len(splits))
    return [r for split in splits for r in split.some(share) if r.images][:count]


def _stops(splits: Sequence[Split], view: page.View, limit: int) -> Stops:
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
