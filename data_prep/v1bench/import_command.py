"""`python -m data_prep.v1bench import`: published CSV files -> datasets."""

import argparse
from pathlib import Path

from babyvlm_jax.runtime.errors import UserError, add_command_flags, printable
from data_prep.importing.engine import tell_summary
from data_prep.importing.flags import add_command, check_out
from data_prep.v1bench import imports

HELP = """\
Imports the label files of BabyVLM V1 with their pictures.

examples:
  python -m data_prep.v1bench import --csv labeled_s.csv --images eval/test --out=shards
  python -m data_prep.v1bench import --csv vtwt.csv SAYCam_caption.csv \\
      --images train_5fps --out=shards
  # the frames and the pictures made from them lie in two folders
  python -m data_prep.v1bench import --csv baby_winoground.csv \\
      --images train_5fps negatives --out=shards

A file's columns say which test it is of. Rows that cannot be used are left out,
counted, and listed with the reason in OUT/imports/v1_TASK-test.json.
Exit codes: 0 finished, 78 bad input.
"""
NAMED = 3  # rows that are printed; all are in the file


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.v1bench`."""
    one = add_command(
        commands,
        "import",
        run,
        HELP,
        "import published CSV files",
    )
    one.add_argument("--csv", required=True, nargs="+", metavar="FILE")
    one.add_argument(
        "--images",
        required=True,
        nargs="+",
        metavar="DIR",
        help="folders that the files' paths are relative to, searched in order",
    )
    one.add_argument("--out", required=True, metavar="SHARDS")
    one.add_argument(
        "--word",
        action="append",
        default=[],
        metavar="WORD=OTHER",
        help="Labeled-S: ask for OTHER, as cat=kitty",
    )
    one.add_argument(
        "--strict", action="store_true", help="end at the first item that is not usable"
    )
    add_command_flags(one)


def run(args: argparse.Namespace) -> None:
    """Imports each file, and tells what was imported and what was not.

    Raises:
        UserError: bad input.
    """
    out = check_out(args.out)
    words = dict(map(_renamed, args.word))
    roots = [Path(root) for root in args.images]
    for file in args.csv:
        summary = imports.import_csv(Path(file), roots, out, words, args.strict)
        task = summary["dataset"].removeprefix("v1_")
        tell_summary(summary, imports.summary_path(out, task))
        for one in summary["skipped"][:NAMED]:
            line = f"    line {one['number']}, {one['id']}: {one['detail']}"
            print(printable(line))


def _renamed(pair: str) -> tuple[str, str]:
    word, _, other = pair.partition("=")
    if not word or not other:
        raise UserError(f"--word={pair}; give WORD=OTHER, as cat=kitty")
    return word, other
