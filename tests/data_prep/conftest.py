"""Processes that are none: starting a real one costs more than what it does."""

import concurrent.futures
import pickle

import pytest


class _Here(concurrent.futures.Executor):
    """Runs jobs at once; what goes in and out is pickled, as for a process.

    Several are done when `workers` looks, so that it takes them in any order.
    """

    def __init__(self, number, context, initializer):
        pass

    def submit(self, work, *job):
        work, job = pickle.loads(pickle.dumps((work, job)))
        future = concurrent.futures.Future()
        future.set_result(pickle.loads(pickle.dumps(work(*job))))
        return future


@pytest.fixture(params=["here", pytest.param("spawned", marks=pytest.mark.slow)])
def processes(request, monkeypatch):
    """What runs the jobs of `workers(2)`; stages/test_workers.py has real ones."""
    if request.param == "here":
        monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", _Here)
