"""What a run writes about itself: late and whole; its rates; its end if it hangs."""

import json
import math
import threading
import types

import numpy as np
import pytest
from etils import epath

from babyvlm_jax.runtime import telemetry
from babyvlm_jax.runtime.telemetry import Pace, Watchdog, Writer


def lines(folder):
    return (folder / "metrics.jsonl").read_text().splitlines()


def steps(folder):
    return [json.loads(line)["step"] for line in lines(folder)]


def row(loss):
    return {"train/loss": loss, "train/goodput": 0.5}


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


def test_a_run_that_fails_does_not_write_what_is_late(tmp_path):
    with pytest.raises(ZeroDivisionError), Writer(tmp_path, "test", 10, 0) as writer:
        writer.push(1, row(3.0))
        writer.push(2, {"train/loss": None})
        raise ZeroDivisionError
    assert steps(tmp_path) == [1]
    with Writer(tmp_path, "test", 10, 1) as writer:
        writer.push(2, row(2.0))
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


LINE = '{"step": %d, "time_s": 1.0, "unix_s": 9.0, "train/goodput": 1.0}'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\n".join(LINE % n for n in (1, 2, 2, 3)), [1, 2, 3]),
        ("\n".join(LINE % n for n in (1, 2, 3, 2)), [1, 2, 3]),
        (LINE % 1 + "\n" + (LINE % 2)[:20] + LINE % 3 + "\n" + LINE % 4, [1, 4]),
        (LINE % 1 + "\n[]\n3\nnull\n{}\n" + '{"step": "2"}\n' + "[" * 10**6, [1]),
        (LINE % 1 + "\n" + "\0" * 30, [1]),
        ("\udcff" + LINE % 1, []),
    ],
)
def test_a_log_is_mended_on_opening(tmp_path, text, kept):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text, errors="surrogateescape")
    Writer(tmp_path, "test", 10, 9).close()
    assert steps(tmp_path) == kept
    assert path.read_text() == "".join(line + "\n" for line in lines(tmp_path))


def test_a_flush_leaves_no_step_out_of_the_log_and_loses_no_return(tmp_path, writer):
    writer.push(1, row(3.0))
    writer.flush()
    assert steps(tmp_path) == [1]
    writer.flush()
    assert writer.push(2, row(2.0)) == row(3.0)
    assert writer.push(3, row(1.0)) == row(2.0)
    assert steps(tmp_path) == [1, 2]


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


def test_time_goes_on_where_the_lines_that_count_end(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(telemetry.time, "time", lambda: clock[0])
    monkeypatch.setattr(telemetry.time, "perf_counter", lambda: clock[0])
    first = Writer(tmp_path, "test", 10, 0)
    assert (first.productive_s, first.elapsed_s) == (0.0, 0.0)
    for step, goodput in ((1, 0.5), (2, 0.75), (3, 0.9)):
        clock[0] += 10.0
        first.push(step, {**row(1.0), "train/goodput": goodput})
    first.close()
    clock[0] += 70.0
    again = Writer(tmp_path, "test", 10, 2)
    assert (again.productive_s, again.elapsed_s) == (0.75 * 20.0, 100.0)
    clock[0] += 5.0
    again.push(3, {**row(1.0), "train/goodput": 0.2})
    again.close()
    assert [json.loads(line)["time_s"] for line in lines(tmp_path)] == [10, 20, 25]


def test_a_push_returns_the_one_before_also_where_nothing_is_written(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(telemetry.jax, "process_index", lambda: 1)
    writer = Writer(tmp_path, "test", 10, 0)
    assert writer.push(1, row(3.0)) == {}
    assert writer.push(2, row(2.0)) == row(3.0)
    writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def profiler(monkeypatch):
    """What was asked of JAX's profiler, and for what was waited."""
    calls = []
    for name in ("start_trace", "stop_trace"):
        monkeypatch.setattr(
            telemetry.jax.profiler, name, lambda *a, n=name: calls.append((n, *a))
        )
    wait = "block_until_ready"
    monkeypatch.setattr(telemetry.jax, wait, lambda x: calls.append((wait, x)))
    return calls


def trace_over(workdir, chosen, steps):
    trace = telemetry.Trace(workdir, chosen)
    for step in steps:
        with trace.step(step):
            pass
        trace.after(step, step)
    trace.close()


def test_the_chosen_steps_are_traced_and_only_the_last_is_waited_for(
    tmp_path, profiler
):
    trace_over(tmp_path, (2, 4), range(10))
    started = ("start_trace", f"{tmp_path}/trace")
    assert profiler == [started, ("block_until_ready", 4), ("stop_trace",)]
    profiler.clear()
    trace_over(tmp_path, (), range(10))
    trace_over(tmp_path, (2, 4), range(5, 10))
    assert profiler == []
    trace_over(tmp_path, (2, 4), range(3))
    assert profiler == [started, ("stop_trace",)]


def test_in_a_bucket_the_log_is_written_anew_now_and_then_and_at_the_end(monkeypatch):
    files, now = [], [0.0]
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        telemetry, "write_atomically", lambda path, data: files.append(data.decode())
    )
    log = telemetry.Log(epath.Path("gs://b/run/metrics.jsonl"), "1\n")
    log.add("2\n")
    assert files == ["1\n"]
    now[0] = telemetry.BUCKET_LOG_S + 1
    log.add("3\n")
    log.add("4\n")
    log.close()
    assert files == ["1\n", "1\n2\n3\n", "1\n2\n3\n4\n"]


def test_a_trace_is_copied_to_where_the_profiler_cannot_write(tmp_path):
    (tmp_path / "plugins" / "host").mkdir(parents=True)
    (tmp_path / "plugins" / "host" / "t.pb").write_bytes(b"trace")
    telemetry.copy_files(tmp_path / "plugins", tmp_path / "there")
    assert (tmp_path / "there" / "host" / "t.pb").read_bytes() == b"trace"


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(telemetry.time, "perf_counter", lambda: now[0])
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
    assert telemetry.content(ROWS).tolist() == [3, 5, 8, 3, 6]
    assert telemetry.content({"images": np.zeros((7, 2, 2, 3))}).tolist() == [
        0,
        0,
        0,
        7,
        7,
    ]


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
    assert [row[name] for name in telemetry.RATES] == [6.0, 10.0, 16.0, 6.0, 12.0]
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

    monkeypatch.setattr(telemetry.jax, "devices", lambda: [Chip()])
    monkeypatch.setattr(telemetry.jax, "device_count", lambda: 4)
    run = Pace(lambda: 4 * 197e12)
    run.step(ROWS)
    clock[0] += 2.0
    run.step(ROWS)
    assert run.row()["mfu"] == 0.5


def test_a_hang_is_told_and_ended(tmp_path, monkeypatch, capfd):
    ended, codes, log = threading.Event(), [], tmp_path / "hang.log"

    def leave(code):
        codes.append(code)
        ended.set()

    def waits_for_a_host_that_is_gone():
        assert ended.wait(60)

    monkeypatch.setattr(telemetry.os, "_exit", leave)
    other = threading.Thread(target=waits_for_a_host_that_is_gone)
    other.start()
    Watchdog(0.1, log)
    waits_for_a_host_that_is_gone()
    other.join()
    assert codes == [75]
    for told in (capfd.readouterr().err, log.read_text()):
        assert "no step within 0.1 s (config.watchdog_s)" in told
        assert told.count("in waits_for_a_host_that_is_gone") == 2


def test_a_step_puts_the_end_off(tmp_path, monkeypatch, capfd):
    now, waits = [0.0], []
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: now[0])
    idle = types.SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(telemetry.threading, "Thread", lambda **_: idle)
    monkeypatch.setattr(
        telemetry.os, "_exit", lambda code: waits.append(f"exit {code}")
    )
    dog = Watchdog(10.0, tmp_path / "hang.log")

    def wait(left):
        waits.append(left)
        if len(waits) == 1:
            now[0] = 4.0
            dog.step()
        now[0] = 10.0 if len(waits) == 1 else 14.0

    monkeypatch.setattr(dog, "_closed", types.SimpleNamespace(wait=wait))
    dog._watch()
    assert waits == [10.0, 4.0, "exit 75"]
    assert "all stacks" in capfd.readouterr().err


def test_a_closed_watchdog_and_one_of_zero_seconds_do_nothing(tmp_path):
    before = set(threading.enumerate())
    never = Watchdog(0, tmp_path / "hang.log")
    never.step()
    assert set(threading.enumerate()) == before
    closed = Watchdog(1e6, tmp_path / "hang.log")
    (thread,) = set(threading.enumerate()) - before
    closed.close()
    thread.join()
    assert list(tmp_path.iterdir()) == []
