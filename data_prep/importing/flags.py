"""Flags that several commands share."""

import argparse
import functools
import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from babyvlm_jax.runtime.errors import (
    CommandParser,
    UserError,
    add_command_flags,
    run_main,
)


def run_commands(
    module: str, doc: str, commands: Sequence, argv: Sequence[str] | None
) -> None:
    """Runs one of a module's commands.

    Args:
        module: name to run it by.
        doc: first line, blank line, examples.
        commands: modules with an `add_parser` that calls `add_command`.
        argv: the words after the module's name; None for those of this process.
    """
    top = command_parser(module, doc)
    parsers = top.add_subparsers(dest="command", required=True)
    for command in commands:
        command.add_parser(parsers)
    args = top.parse_args(argv)
    run_main(functools.partial(args.run, args), args.debug)


def add_command(
    parsers, name: str, run: Callable, doc: str, about: str = ""
) -> argparse.ArgumentParser:
    """One command of `run_commands`; flags are added to what is returned.

    Args:
        parsers: as `add_parser` gets them.
        name: of the command.
        run: gets the parsed flags.
        doc: first line, blank line, examples.
        about: a line in the list of commands; else the first of `doc`.
    """
    head, _, examples = doc.partition("\n\n")
    one = parsers.add_parser(
        name,
        help=about or head,
        description=head,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.set_defaults(run=run)
    return one


def command_parser(module: str, doc: str) -> argparse.ArgumentParser:
    """A parser whose help shows the module's docstring.

    Args:
        module: name to run it by.
        doc: first line, blank line, examples.
    """
    head, _, examples = doc.partition("\n\n")
    return CommandParser(
        prog=f"python -m {module}",
        description=head,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_common_flags(top: argparse.ArgumentParser) -> None:
    """The flags that every import has."""
    top.add_argument(
        "--out", required=True, metavar="SHARDS", help="folder of the datasets"
    )
    top.add_argument("--split", required=True, help="train, val, test, ...")
    top.add_argument(
        "--strict",
        action="store_true",
        help="end at the first record that cannot be used",
    )
    top.add_argument(
        "--workers",
        type=positive,
        default=os.cpu_count(),
        metavar="N",
        help="processes (default: one per core)",
    )
    add_command_flags(top)


def check_out(out: str) -> Path:
    """The folder; raises UserError if it is in a bucket, where nothing is renamed."""
    if "://" in out:
        raise UserError(
            f"--out={out}: give a folder of this machine; the shards can be copied to "
            "a bucket when they are done"
        )
    return Path(out)


def matching(pattern: str, flag: str) -> list[Path]:
    """The files that a pattern matches, sorted; raises UserError if there is none."""
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise UserError(f"{flag}={pattern}: no such file")
    return [Path(name) for name in found]


def check_name(name: str, flag: str = "--name") -> str:
    """Raises UserError unless `name` can be that of a dataset or split."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(
            f"{flag}={name}: lower-case letters, digits and underscores, a letter first"
        )
    return name


def check_seed(seed: int) -> None:
    """Raises UserError if the value of --seed is negative."""
    if seed < 0:
        raise UserError(f"--seed={seed}; give 0 or more")


def positive(text: str) -> int:
    """A flag's `type`: a whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def add_embedding_flags(top: argparse.ArgumentParser) -> None:
    """How images and texts are brought to an embedder."""
    top.add_argument(
        "--image-size",
        type=positive,
        default=224,
        metavar="PIXELS",
        help="side of the squares that the embedder sees (default 224)",
    )
    top.add_argument(
        "--batch-size",
        type=positive,
        default=256,
        help="of the embedder (default 256)",
    )
