"""Outcomes of a command and the exit codes and lines that a person sees."""

import errno
import io
import os

import pytest

from babyvlm_jax.runtime.errors import (
    Preempted,
    UserError,
    raise_system_fault,
    run_main,
    without_addresses,
)


def _outcome(main, capsys, debug=False):
    with pytest.raises(SystemExit) as stop:
        run_main(main, debug=debug)
    return stop.value.code, capsys.readouterr().err


def _raising(error):
    def main():
        raise error

    return main


def test_a_finished_command_exits_with_0_and_says_nothing(capsys):
    assert _outcome(lambda: None, capsys) == (0, "")


def test_a_user_error_is_one_line_and_exit_code_78(capsys):
    main = _raising(UserError("steps is 0, expected 1 or more; set --config.steps"))
    assert _outcome(main, capsys) == (
        78,
        "error: steps is 0, expected 1 or more; set --config.steps\n",
    )


def test_debug_adds_the_traceback(capsys):
    code, printed = _outcome(_raising(UserError("bad")), capsys, debug=True)
    assert code == 78
    assert printed.startswith("Traceback")
    assert printed.endswith("error: bad\n")


def test_preemption_is_exit_code_75(capsys):
    main = _raising(Preempted("saved at step 7; run the same command again"))
    assert _outcome(main, capsys) == (
        75,
        "stopped: saved at step 7; run the same command again\n",
    )


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 // 0)


REFUSED = {
    errno.EMFILE: "ulimit -n",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "quota",
    errno.EFBIG: "ulimit -f",
    errno.EROFS: "can be written",
    errno.EACCES: "ls -l",
    errno.EIO: "try again",
    errno.ENOENT: "moved or removed",
}


@pytest.mark.parametrize("number", REFUSED)
def test_what_the_system_refuses_is_one_line(number, capsys):
    reason = os.strerror(number)
    code, printed = _outcome(_raising(OSError(number, reason, "a/file")), capsys)
    assert code == 78
    assert printed.startswith(f"error: a/file: {reason}; ")
    assert REFUSED[number] in printed
    assert printed.count("\n") == 1
    for error in (OSError(number, reason), RuntimeError(f"open() failed: {reason}; x")):
        with pytest.raises(UserError, match=f"^the file: {reason}; "):
            raise_system_fault(error, "the file", about_file=True)
    of_the_file = number in (errno.ENOENT, errno.EACCES)
    if of_the_file:  # is for the caller to report
        raise_system_fault(OSError(number, reason), "the file")


def test_other_errors_are_no_fault_of_the_system():
    for error in (
        BrokenPipeError(errno.EPIPE, "x"),
        OSError("truncated"),
        ValueError(),
    ):
        raise_system_fault(error, "the file", about_file=True)
    with pytest.raises(BrokenPipeError):
        run_main(_raising(BrokenPipeError(errno.EPIPE, "x")))


def test_messages_are_the_same_in_every_run():
    said = f"a picture cannot be decoded (cannot identify image file {io.BytesIO()})"
    told = "a picture cannot be decoded (cannot identify image file)"
    assert str(UserError(said)) == told
    assert without_addresses(f"{test_messages_are_the_same_in_every_run}") == ""
