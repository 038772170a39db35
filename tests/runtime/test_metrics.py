"""metrics.jsonl: late, whole, and without a step twice."""

import json
import math

import pytest
from etils import epath

from babyvlm_jax.runtime import metrics
from babyvlm_jax.runtime.metrics import Writer


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
    monkeypatch.setattr(metrics.time, "time", lambda: clock[0])
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: clock[0])
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
    monkeypatch.setattr(metrics.jax, "process_index", lambda: 1)
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
            metrics.jax.profiler, name, lambda *a, n=name: calls.append((n, *a))
        )
    wait = "block_until_ready"
    monkeypatch.setattr(metrics.jax, wait, lambda x: calls.append((wait, x)))
    return calls


def trace_over(workdir, chosen, steps):
    trace = metrics.Trace(workdir, chosen)
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
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        metrics, "write_atomically", lambda path, data: files.append(data.decode())
    )
    log = metrics.Log(epath.Path("gs://b/run/metrics.jsonl"), "1\n")
    log.add("2\n")
    assert files == ["1\n"]
    now[0] = metrics.BUCKET_LOG_S + 1
    log.add("3\n")
    log.add("4\n")
    log.close()
    assert files == ["1\n", "1\n2\n3\n", "1\n2\n3\n4\n"]


def test_a_trace_is_copied_to_where_the_profiler_cannot_write(tmp_path):
    (tmp_path / "plugins" / "host").mkdir(parents=True)
    (tmp_path / "plugins" / "host" / "t.pb").write_bytes(b"trace")
    metrics.copy_files(tmp_path / "plugins", tmp_path / "there")
    assert (tmp_path / "there" / "host" / "t.pb").read_bytes() == b"trace"
