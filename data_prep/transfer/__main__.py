"""A general-purpose corpus of captions made into one for a small child (BabyVLM V1).

  # 1. captions -> what a caregiver would say, and which pairs to keep
  python -m data_prep.transfer rewrite shards --name=llava_pretrain \\
      --target=shards --out=runs/transfer
  # 2. for each pair of your corpus the kept picture that is most like it
  python -m data_prep.transfer match runs/transfer --target=shards \\
      --embedder=clip@runs/clip
  # 3. datasets to train on
  python -m data_prep.transfer write runs/transfer --out=shards

Each command tells its flags and examples with --help.
"""

import argparse
import functools
from collections.abc import Sequence

from babyvlm_jax.errors import run_main
from data_prep.importing.flags import command_parser
from data_prep.transfer import match_command, rewrite_command, write_command


def parser() -> argparse.ArgumentParser:
    """The commands."""
    top = command_parser("data_prep.transfer", __doc__)
    commands = top.add_subparsers(dest="command", required=True)
    for command in (rewrite_command, match_command, write_command):
        command.add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command; see `parser` for them."""
    args = parser().parse_args(argv)
    run_main(functools.partial(args.run, args), args.debug)


if __name__ == "__main__":
    main()
