"""Rates count what is in the batches, and not the first of them."""

import itertools

import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from tests import tiny_run
from tests.benchmarks import alone
from tests.benchmarks.alone import Rate, measure


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(alone.time, "perf_counter", lambda: now[0])
    return now


def rows(supervised, images):
    mask = np.arange(8).reshape(2, 4) < supervised
    shown = np.arange(6).reshape(2, 3) < images
    return {"tokens": np.zeros((2, 4)), "loss_mask": mask, "image_mask": shown}


def test_the_first_batch_is_not_timed(clock):
    used = []

    def use(batch):
        clock[0] += 100.0 if not used else 2.0
        used.append(batch)

    rate = measure([rows(8, 6), rows(3, 1), rows(5, 2), rows(1, 1)], use, num_steps=2)
    assert rate == Rate(seconds=4.0, batches=2, rows=4, supervised=8, images=3)
    assert len(used) == 3


def test_time_is_bounded_and_frames_are_rows(clock):
    def use(batch):
        clock[0] += 1.0

    frames = itertools.repeat({"images": np.zeros((5, 2, 2, 3))})
    rate = measure(frames, use, num_steps=1000, seconds=3.5)
    assert rate == Rate(seconds=4.0, batches=4, rows=20, supervised=0, images=20)


def test_a_rate_reads_well():
    assert str(Rate(2.0, 3, 24, 5000, 0)) == (
        "1.5 batches/s, 12.0 rows/s, 2,500.0 supervised tokens/s, 0.0 images/s "
        "(3 batches in 2.0 s)"
    )


@pytest.mark.parametrize("make", [tiny_run.config, tiny_run.vision_config])
def test_the_loader_alone_is_measured(tmp_path, capsys, make):
    config = make(tiny_run.make_world(tmp_path), num_steps=3)
    alone.main(config, "loader")
    line = capsys.readouterr().out
    assert line.startswith("the loader alone: ")
    assert "(3 batches in " in line


@pytest.mark.integration
def test_the_step_alone_is_measured_without_any_data(capsys):
    config = tiny_run.config(tiny_run.NOWHERE, num_steps=2)
    config.data.synthetic = True
    alone.main(config)
    line = capsys.readouterr().out
    assert line.startswith("the step alone: ")
    assert "(2 batches in " in line


def test_nothing_chosen():
    with pytest.raises(UserError, match="--what"):
        alone.main(tiny_run.config(tiny_run.NOWHERE))
