"""metrics.jsonl: late, whole, and without a step twice."""

import json
import math

import pytest

from babyvlm_jax import metrics
from babyvlm_jax.metrics import InputWait, Writer


def lines(folder):
    return (folder / "metrics.jsonl").read_text().splitlines()


def steps(folder):
    return [json.loads(line)["step"] for line in lines(folder)]


def row(loss):
    return {"train/loss": loss}


@pytest.fixture
def writer(tmp_path):
    writer = Writer(tmp_path, "test", 10, 0)
    yield writer
    writer.close()


def test_a_push_writes_the_one_before(tmp_path, writer):
    writer.push(1, row(3.0))
    assert lines(tmp_path) == []
    writer.push(2, row(2.0))
    assert [json.loads(x)["train/loss"] for x in lines(tmp_path)] == [3.0]
    writer.close()
    assert steps(tmp_path) == [1, 2]


def test_reopening_drops_what_lies_beyond_the_checkpoint(tmp_path, writer):
    for step in (1, 2, 3, 4):
        writer.push(step, row(1.0))
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "time_')  # a kill in the middle of a line
    again = Writer(tmp_path, "test", 10, 3)
    assert steps(tmp_path) == [1, 2, 3]
    again.push(4, row(9.0))
    again.close()
    assert steps(tmp_path) == [1, 2, 3, 4]
    times = [json.loads(line)["time_s"] for line in lines(tmp_path)]
    assert times == sorted(times)


def test_tensorboard_events_are_written(tmp_path, writer):
    writer.push(1, row(1.0))
    writer.close()
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_a_dataset_without_tokens_in_the_batch_is_left_out(tmp_path, writer):
    writer.push(1, {**row(math.nan), "train/loss/a": 2.0, "train/loss/b": math.nan})
    writer.close()
    (line,) = map(json.loads, lines(tmp_path))
    assert line["train/loss/a"] == 2.0
    assert "train/loss/b" not in line
    assert math.isnan(line["train/loss"])  # a loss that exploded is told


def test_input_wait_is_the_share_of_time_in_next(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: clock[0])

    def batches():
        for wait in (3.0, 1.0):
            clock[0] += wait
            yield wait

    source = InputWait(batches())
    for _ in source:
        clock[0] += 2.0  # the step
    assert source.fraction() == (3.0 + 1.0) / 8.0
    clock[0] += 5.0
    assert source.fraction() == 0.0
