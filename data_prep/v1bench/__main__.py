"""The benchmarks of BabyVLM V1: imports the published items, or builds others.

  python -m data_prep.v1bench import --csv vtwt.csv --images frames --out=shards
  python -m data_prep.v1bench build --raw=runs/demo/raw --out=runs/demo/shards

Each command tells its flags and examples with --help.
"""

import argparse
import functools
import sys

from babyvlm_jax.errors import run_main
from data_prep.importing.flags import command_parser
from data_prep.v1bench import build_command, import_command


def parser() -> argparse.ArgumentParser:
    """The commands."""
    top = command_parser("data_prep.v1bench", __doc__)
    commands = top.add_subparsers(dest="command", required=True)
    import_command.add_parser(commands)
    build_command.add_parser(commands)
    return top


def main(argv: list[str]) -> None:
    """Runs one command; see `parser` for them."""
    args = parser().parse_args(argv)
    run_main(functools.partial(args.run, args), args.debug)


if __name__ == "__main__":
    main(sys.argv[1:])
