"""Rates, waits and goodput, with a clock that the test turns."""

import numpy as np
import pytest

from babyvlm_jax.runtime import pace
from babyvlm_jax.runtime.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    return now


def unknown():
    raise AssertionError("the FLOPs of a step on a CPU are of no use")


ROWS = {
    "tokens": np.zeros((2, 4)),
    "loss_mask": np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool),
    "segment_ids": np.array([[1, 1, 2, 2], [1, 0, 0, 0]]),
    "image_mask": np.array([[1, 0, 0], [1, 1, 0]], bool),
}


def test_what_a_batch_holds():
    assert pace.content(ROWS).tolist() == [3, 5, 8, 3, 6]
    assert pace.content({"images": np.zeros((7, 2, 2, 3))}).tolist() == [0, 0, 0, 7, 7]


def test_rates_are_of_the_time_since_the_row_before(clock):
    run = Pace(unknown)
    clock[0] += 100.0  # compiling
    run.step(ROWS)
    assert run.row() == {"input_wait": 0, "checkpoint_wait": 0, "goodput": 0}
    for _ in range(4):
        clock[0] += 0.5
        run.step(ROWS)
    row = run.row()
    assert row["step_s"] == 0.5
    assert [row[name] for name in pace.RATES] == [6.0, 10.0, 16.0, 6.0, 12.0]
    assert row["goodput"] == 2.0 / 102.0
    assert "mfu" not in row  # a CPU has no published peak
    clock[0] += 1.0
    assert "step_s" not in run.row()


def test_waiting_is_told_as_a_share_and_is_not_productive(clock):
    def batches():
        for wait in (3.0, 1.0, 0.0):
            clock[0] += wait
            yield wait

    run = Pace(unknown, productive_s=90.0, elapsed_s=190.0)
    source = run.timed(batches())
    assert next(source) == 3.0
    run.step(ROWS)  # the first: nothing before it counts
    assert next(source) == 1.0
    clock[0] += 4.0
    run.step(ROWS)
    with run.waiting("checkpoint"):
        clock[0] += 2.0
    next(source)
    clock[0] += 1.0
    run.step(ROWS)
    row = run.row()
    assert (row["input_wait"], row["checkpoint_wait"]) == (1.0 / 8.0, 2.0 / 8.0)
    assert row["goodput"] == (90.0 + 5.0) / (190.0 + 3.0 + 8.0)
    assert list(source) == []


def test_mfu_is_the_share_of_all_devices_peak(clock, monkeypatch):
    class Chip:
        device_kind = "TPU v5 lite"

    monkeypatch.setattr(pace.jax, "devices", lambda: [Chip()])
    monkeypatch.setattr(pace.jax, "device_count", lambda: 4)
    run = Pace(lambda: 4 * 197e12)
    run.step(ROWS)
    clock[0] += 2.0
    run.step(ROWS)
    assert run.row()["mfu"] == 0.5
