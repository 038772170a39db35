"""metrics.jsonl: late, whole, and without a step twice."""

import json

import pytest

from babyvlm_jax.metrics import Writer


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
