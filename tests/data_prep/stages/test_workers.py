import multiprocessing
import operator
import os
import signal
import time

import pytest

from data_prep.stages.workers import workers


@pytest.mark.parametrize("num_processes", [1, 2])
def test_every_job_gives_its_result(num_processes):
    with workers(num_processes) as each:
        assert sorted(each(operator.mul, [(1, 2), (3, 4), (5, 6)])) == [2, 12, 30]
        assert sorted(each(operator.add, [(1, 2)])) == [3]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_failure_reaches_the_caller(num_processes):
    with pytest.raises(ZeroDivisionError), workers(num_processes) as each:
        list(each(operator.truediv, [(1, 0), (1, 1)]))


def _parent(pipe):
    with workers(2) as each:
        pipe.send(next(each(os.getpid, [(), ()])))
        time.sleep(600)


def test_workers_end_when_the_parent_is_killed():
    here, there = multiprocessing.Pipe()
    parent = multiprocessing.get_context("spawn").Process(target=_parent, args=(there,))
    parent.start()
    worker = here.recv()
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    deadline = time.monotonic() + 60
    while _runs(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def _runs(pid):
    """Whether the process lives; an orphan that nobody has reaped does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
