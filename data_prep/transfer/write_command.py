"""Matched pictures -> datasets to train on; step 3 of a transfer.

  python -m data_prep.transfer write runs/transfer --out=shards

  # the control with the captions as they were
  python -m data_prep.transfer write runs/transfer --out=shards --random-captions=raw

Writes `transferred` and, as many pictures drawn at random, `general_random`. With the
filtered pairs in the same folder they make V1's training sets, which a config names:
--config=configs/v1/joint.py:pairs=filtered-aug (filtered, aug-only, filtered-random). A
killed run goes on when the same command is run again. Exit codes: 0 finished, 78 bad
input.
"""

import argparse
from pathlib import Path

from babyvlm_jax.runtime.errors import UserError, add_command_flags
from data_prep.importing.flags import add_command, check_out
from data_prep.transfer.write import CAPTIONS, write_corpus


def add_parser(commands) -> None:
    """Adds the command and its flags."""
    head, _, examples = __doc__.partition("\n\n")
    top = add_command(commands, "write", run, head, head, examples)
    add = top.add_argument
    add("folder", metavar="DIR", help="of the transfer, rewritten and matched")
    add("--out", required=True, metavar="SHARDS", help="folder of the datasets")
    add("--general", metavar="SHARDS", help="where the general-purpose dataset is now")
    add(
        "--random-captions",
        choices=CAPTIONS,
        default=CAPTIONS[0],
        help="of the random pictures (default rewritten)",
    )
    add("--seed", type=int, default=0, help="of the random pictures")
    add_command_flags(top)


def run(args: argparse.Namespace) -> None:
    """Writes the datasets.

    Raises:
        UserError: a bad flag or input.
    """
    if args.seed < 0:
        raise UserError(f"--seed={args.seed}; give 0 or more")
    made = write_corpus(
        Path(args.folder),
        check_out(args.out),
        args.general,
        args.random_captions,
        args.seed,
    )
    for name, summary in made.items():
        print(f"{name}/train: {summary['records']:,} records in {args.out}")
