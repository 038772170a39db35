"""User errors and exit codes, shared by every command.

A command that cannot go on because of what it was given raises `UserError`; the
person sees one line and exit code 78, never a traceback (unless `--debug`).
"""

import sys
import traceback
from collections.abc import Callable

EXIT_DONE = 0
EXIT_PREEMPTED = 75  # EX_TEMPFAIL: saved, run me again
EXIT_USER_ERROR = 78  # EX_CONFIG: bad configuration or input


class UserError(ValueError):
    """What was given, what was expected, what to change: one line for a person."""


class Preempted(Exception):
    """The run was asked to stop, has saved, and can be started again."""


def run_main(main: Callable[[], None], debug: bool = False) -> None:
    """Runs `main` and turns its outcome into the project's exit codes.

    Args:
        main: the command; raises `UserError` or `Preempted` or returns.
        debug: also print the traceback of a user error.

    Raises:
        SystemExit: always, with code 0, 75 or 78; other exceptions pass through.
    """
    try:
        main()
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_USER_ERROR) from None
    except Preempted as stop:
        print(f"stopped: {stop}", file=sys.stderr)
        raise SystemExit(EXIT_PREEMPTED) from None
    raise SystemExit(EXIT_DONE)
