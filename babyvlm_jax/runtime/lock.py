"""A folder belongs to one run at a time.

    python -m babyvlm_jax.runtime.lock FOLDER COMMAND...   # if FOLDER is free

The lock is the operating system's on a file, so it ends with the process that holds it,
however that ends. A file system without such locks gets a file that names the process
and its machine instead; one that a killed process of this machine has left is replaced.
Buckets have no lock, and none is taken there.
"""

import contextlib
import errno
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

import filelock

from babyvlm_jax.runtime.errors import UserError, run_main

FILE = "lock"
OUTER = "demo.lock"  # of a command that starts runs in the same folder
# what network file systems answer where no lock daemon runs
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


def take(
    folder, name: str = FILE, wait_s: float = 0, inherited: bool = False
) -> filelock.BaseFileLock | None:
    """Takes the folder's lock.

    Args:
        folder: made if absent.
        name: of the file; each name is a lock of its own.
        wait_s: how long to wait for another holder to end.
        inherited: the lock is kept by a program that this process becomes.

    Returns:
        The lock, which is held until it is released or collected; None for a bucket.

    Raises:
        UserError: another process has it, or the folder cannot be written.
    """
    if "://" in str(folder):
        return None
    path = pathlib.Path(folder) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _take(path, wait_s, inherited)
    except filelock.Timeout:
        raise UserError(
            f"{folder} is in use by {_holder(path)}; wait until that ends, stop it, or "
            "choose another folder"
        ) from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be locked ({error.strerror})") from None


def _take(path, wait_s, inherited):
    def sign(file: int) -> None:
        os.set_inheritable(file, inherited)
        os.ftruncate(file, 0)
        signature = f"process {os.getpid()} on {socket.gethostname()}\n"
        os.pwrite(file, signature.encode(), 0)

    lock = filelock.FileLock(path, timeout=wait_s, on_acquired=sign)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock = filelock.SoftFileLock(_marker(path), timeout=wait_s)
        lock.acquire()
    return lock


def _marker(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.pid")


def _holder(path: pathlib.Path) -> str:
    with contextlib.suppress(OSError, ValueError, IndexError):
        if _marker(path).exists():
            process, host, *_ = _marker(path).read_text().splitlines()
            return f"process {process} on {host}"
        return path.read_text().strip() or "another process"
    return "another process"


@contextlib.contextmanager
def held(folder, name: str = FILE, wait_s: float = 0) -> Iterator[None]:
    """Has the folder's lock for the time of a block; see `take`.

    Raises:
        UserError: another process has it.
    """
    lock = take(folder, name, wait_s)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def main() -> None:
    """Takes the lock and becomes the command; it and its children hold the lock."""
    if len(sys.argv) < 3:
        raise UserError("give a folder and a command; see the top of lock.py")
    lock = take(sys.argv[1], OUTER, inherited=True)  # noqa: F841, held while named
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    run_main(main)
