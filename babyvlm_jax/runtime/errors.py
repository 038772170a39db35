"""User errors and exit codes, shared by every command.

A command that cannot go on because of what it was given raises `UserError`; the
person sees one line and exit code 78, never a traceback (unless `--debug`).
"""

import argparse
import contextlib
import errno
import itertools
import os
import pathlib
import re
import stat
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

EXIT_DONE = 0
EXIT_PREEMPTED = 75  # EX_TEMPFAIL: saved, run me again
EXIT_USER_ERROR = 78  # EX_CONFIG: bad configuration or input

SHARE = "--share"
MASKS = {"owner": 0o077, "group": 0o027}  # permissions that new files do not get


_ADDRESS = re.compile(r"\s?<[^<>]*\bat 0x[0-9a-f]+>")


def without_addresses(text: str) -> str:
    """A message without Python's names of objects, which differ in every run.

    "cannot identify image file <_io.BytesIO object at 0x7f12>" ->
    "cannot identify image file"
    """
    return _ADDRESS.sub("", text)


class UserError(ValueError):
    """What was given, what was expected, what to change: one line for a person."""

    def __str__(self):
        return without_addresses(super().__str__())


class SystemFault(UserError):
    """The operating system refused; no data is to blame."""


class Preempted(Exception):
    """The run was asked to stop, has saved, and can be started again."""


# what the system refuses, and what a person can do about it
_REMEDIES = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the whole machine is out of open files; end other programs",
    errno.ENOMEM: "free memory",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: the quota of this account is used up",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.EACCES: "check who may read and write it (ls -l)",
    errno.EPERM: "check who may read and write it (ls -l)",
    errno.ENAMETOOLONG: "choose shorter names",
    errno.ENOENT: "check the path; was it moved or removed?",
    errno.EIO: "the disk or the network failed; check it and try again",
    errno.ESTALE: "the network file system lost it; mount it again",
    errno.ETIMEDOUT: "the network file system does not answer; try again",
}


_OF_A_FILE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


def explain_system_fault(error: BaseException) -> str | None:
    """The reason and the remedy, if the system refused and no data is to blame.

    Args:
        error: an OSError, or what a library raised that puts the system's message into
            its own.

    Returns:
        Such as "Too many open files; raise the limit of open files (ulimit -n)"; None
        for any other error.
    """
    number = _system_number(error)
    return number and f"{os.strerror(number)}; {_REMEDIES[number]}"


def _system_number(error) -> int | None:
    number = getattr(error, "errno", None)
    if number is None:
        said = str(error)
        number = next((n for n in _REMEDIES if os.strerror(n) in said), None)
    return number if number in _REMEDIES else None


def raise_system_fault(error: BaseException, where: object, about_file=False) -> None:
    """Call it before an error is blamed on data, or data is left out because of it.

    Args:
        error: as `explain_system_fault`.
        where: the file.
        about_file: also raise if the fault is this file's own (missing, not ours to
            read), not that of the whole process or disk.

    Raises:
        SystemFault: the system refused, and would refuse any file: no reader may leave
            data out for that and continue.
        UserError: it refused this file. Otherwise nothing happens.
    """
    number = _system_number(error)
    if number and (about_file or number not in _OF_A_FILE):
        kind = UserError if number in _OF_A_FILE else SystemFault
        raise kind(f"{where}: {explain_system_fault(error)}") from None


_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def check_file(path: str | os.PathLike) -> None:
    """Call it before opening an input file: opening a pipe blocks for ever.

    A missing file, or one in a bucket, is left for whoever opens it to report.

    Raises:
        UserError: the path names a pipe, a device, a socket or a folder.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except (OSError, ValueError):
        return
    if kind != stat.S_IFREG:
        name = _KINDS.get(kind, "something else")
        raise UserError(f"{path}: cannot be read (it is no file but {name})")


def read_bytes(path: pathlib.Path) -> bytes:
    """The content of an input file.

    Args:
        path: a path, or epath's of a bucket.

    Raises:
        SystemFault: the system refuses it, as it would refuse any file.
        UserError: it cannot be read: it is missing, no file, or not ours to read.
    """
    check_file(path)
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise_system_fault(error, path)
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({why})") from None


def printable(text: object) -> str:
    """Text for a terminal, with control characters spelt out: they could rewrite it.

    printable("a\x1b[2Jb")  ->  "a\\x1b[2Jb"
    """
    return "".join(
        one if one.isprintable() or one in "\n\t" else repr(one)[1:-1]
        for one in str(text)
    )


@contextlib.contextmanager
def private_files(argv: Sequence[str]) -> Iterator[None]:
    """What is made in the block is for its owner alone, or also for the group.

    Files may hold a child's frames, words, or a model of them. This is the process's
    mask (umask), so that libraries and child processes keep it too.

    Args:
        argv: the command line; `--share=group`, or BABYVLM_SHARE=group in the
            environment, lets the group read.

    Raises:
        UserError: another value.
    """
    for word, following in itertools.pairwise([*argv, ""]):
        flag, _, value = word.partition("=")
        if flag == SHARE:
            os.environ["BABYVLM_SHARE"] = value or following  # children are told too
    share = os.environ.get("BABYVLM_SHARE") or "owner"
    if share not in MASKS:
        raise UserError(f"{SHARE}={share}: expected one of {tuple(MASKS)}")
    before = os.umask(MASKS[share])
    try:
        yield
    finally:
        os.umask(before)


class CommandParser(argparse.ArgumentParser):
    """A parser of flags whose errors are one line and exit code 78."""

    def error(self, message: str):
        print(printable(f"error: {message}; see {self.prog} --help"), file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR)


def add_command_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that every command has."""
    parser.add_argument("--debug", action="store_true", help="tracebacks of errors")
    parser.add_argument(
        SHARE,
        choices=tuple(MASKS),
        help="who may read what is written (default: its owner alone)",
    )


def run_main(main: Callable[[], None], debug: bool = False) -> None:
    """Runs `main` and turns its outcome into the project's exit codes.

    What `main` writes is for its owner alone, see `private_files`.

    Args:
        main: the command; raises `UserError` or `Preempted` or returns.
        debug: also print the traceback of a user error.

    Raises:
        SystemExit: always, with code 0, 75 or 78 (also for what the system refuses, as
            a full disk); other exceptions pass through.
    """
    try:
        with private_files(sys.argv):
            main()
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(printable(f"error: {error}"), file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR) from None
    except OSError as error:
        told = explain_system_fault(error)
        if told is None or debug:
            raise
        print(f"error: {error.filename or 'a file'}: {told}", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR) from None
    except Preempted as stop:
        print(printable(f"stopped: {stop}"), file=sys.stderr)
        raise SystemExit(EXIT_PREEMPTED) from None
    raise SystemExit(EXIT_DONE)
