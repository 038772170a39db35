"""Runs argv lists, or prints them: what all launchers share."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence

from babyvlm_jax.aot.chips import parse_slice
from babyvlm_jax.runtime.errors import UserError, run_main
from launch.jobs import PACKAGE, Job, read_run


class Parser(argparse.ArgumentParser):
    """Mistakes are user errors; the command stands behind `--`."""

    def __init__(self, script: str, usage: str, doc: str):
        """
        Args:
            script: `launch/NAME.sh`.
            usage: what stands behind it.
            doc: shown above the options.
        """
        super().__init__(
            prog=script,
            usage=f"{script} {usage}",
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument(
            "--dry-run",
            action="store_true",
            help="print the commands instead of running them",
        )

    def error(self, message: str):
        raise UserError(f"{message}; see {self.prog} --help")

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """The options, and in `command` what stands behind `--`."""
        argv = list(argv)
        at = argv.index("--") if "--" in argv else len(argv)
        options = self.parse_args(argv[:at])
        options.command = tuple(argv[at + 1 :])
        return options


def add_job_options(parser: Parser, code: str, code_help: str) -> None:
    """Options that make a `Job`."""
    add = parser.add_argument
    add("--data", default="", metavar="DIR", help="folder of shards/, tokenizer.model")
    add("--env", action="append", default=[], metavar="NAME=VALUE", type=_pair)
    add("--no-check", action="store_true", help="do not check the config here first")
    add(f"--{'dir' if code == PACKAGE else 'image'}", default=code, help=code_help)


def add_slice_options(parser: Parser) -> None:
    """Which TPU slices."""
    add = parser.add_argument
    add("--type", default="", metavar="SLICE", help="such as v5litepod-16 or v5e:4x4")
    add("--slices", type=int, default=1, metavar="N", help="so many of them (1)")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    return name, value


def make_job(options: argparse.Namespace, name: str) -> Job:
    """The job that the options describe; what they do not have stays as it is."""
    given = vars(options)
    command = options.command
    if given.get("data"):
        run = read_run(command)
        if run is None:
            raise UserError(
                f"--data={options.data} is for commands of {PACKAGE}; give it to this "
                "one behind --"
            )
        command = run.with_data(options.data).command
    slices = given.get("slices", 1)
    if slices > 1 and not given["type"]:
        raise UserError(f"--slices={slices} of which kind? give --type=SLICE")
    return Job(
        name=name,
        command=command,
        where=parse_slice(options.type, slices) if given.get("type") else None,
        gpus=(given.get("nodes", 1), given["gpus"]) if given.get("gpus") else (0, 0),
        code=given.get("dir") or given.get("image") or PACKAGE,
        env=tuple(given.get("env", ())),
    )


def need_command(options: argparse.Namespace) -> None:
    """Raises UserError unless a command was given."""
    if not options.command:
        raise UserError("the command is missing; it stands behind --")


def check_first(job: Job, options: argparse.Namespace) -> None:
    """Checks the config unless that is not wanted; says so on stderr."""
    if options.no_check or job.run is None:
        return
    from launch.checking import check  # loads JAX, which printing does not need

    for line in check(job):
        print(line, file=sys.stderr)


def call(command: Sequence[str], dry_run: bool, stdin: str = "") -> int:
    """Runs a command, or prints it as bash would read it; returns its exit code.

    Raises:
        UserError: the program is not installed.
    """
    if dry_run:
        text = shlex.join(command)
        print(f"{text} <<'EOF'\n{stdin}EOF" if stdin else text, flush=True)
        return 0
    try:
        done = subprocess.run(command, input=stdin or None, text=True, check=False)
    except FileNotFoundError:
        raise UserError(
            f"{command[0]} is not installed here; --dry-run prints what it would do"
        ) from None
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def call_all(commands: Iterable[Sequence[str]], dry_run: bool) -> int:
    """Runs one after the other, until one fails; returns the last exit code."""
    for command in commands:
        code = call(command, dry_run)
        if code:
            return code
    return 0


def run_command(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> None:
    """Runs a launcher to an exit code, as the package's commands do."""

    def command():
        code = main(argv)
        if code:
            raise SystemExit(code)

    run_main(command)
