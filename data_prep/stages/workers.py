"""Runs jobs in several processes that end when their parent does, however it dies."""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

JOBS_AHEAD = 2  # waiting in line, so that no process waits for the next


@contextlib.contextmanager
def workers(num_processes: int):
    """Gives `each(work, jobs)`, which yields the results of `work(*job)` as they come.

    Jobs are taken from their iterable a few ahead of the work, not all at once.

    Args:
        num_processes: 1 runs the jobs in this process, in order.
    """
    if num_processes == 1:
        yield itertools.starmap
        return
    # Spawned: forking a process that has imported threaded libraries may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        num_processes, context, initializer=_end_with_parent
    ) as pool:

        def each(work: Callable[..., Any], jobs: Iterable[tuple]) -> Iterator[Any]:
            jobs = iter(jobs)
            ahead = itertools.islice(jobs, num_processes + JOBS_AHEAD)
            running = {pool.submit(work, *job) for job in ahead}
            while running:
                done, running = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    for job in itertools.islice(jobs, 1):
                        running.add(pool.submit(work, *job))
                    yield future.result()

        try:
            yield each
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """A killed parent tells nobody; its workers would wait for jobs for ever."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
