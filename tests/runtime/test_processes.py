"""Deciding and stopping, alone and as one of several that are made up here."""

import hashlib
import json
import os
import signal
import threading

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from babyvlm_jax.runtime import lock, processes
from babyvlm_jax.runtime.errors import UserError


@pytest.fixture
def clean(monkeypatch):
    for name in (*processes.PLACE, processes.DETECT):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def joined(clean):
    """Arguments with which JAX was asked to join."""
    calls = []
    clean.setattr(jax.distributed, "initialize", lambda *a, **k: calls.append((a, k)))
    clean.setattr(processes, "_take_sigterm_back", lambda: None)
    return calls


def test_a_process_by_itself_joins_nobody(joined):
    assert not processes.are_several()
    processes.start()
    assert joined == []


def test_the_environment_names_the_place(clean, joined):
    for name, value in zip(processes.PLACE, ("host:1", "4", "3"), strict=True):
        clean.setenv(name, value)
    assert processes.are_several()
    processes.start()
    (args, options), *more = joined
    assert args == ("host:1", 4, 3)
    assert options["cluster_detection_method"] == "deactivate"
    assert not more


def test_jax_finds_the_place_itself_where_it_is_told_to(clean, joined):
    clean.setenv(processes.DETECT, "1")
    assert processes.are_several()
    processes.start()
    assert joined == [((), processes.TIMEOUTS)]


def test_half_a_place_is_refused(clean, joined):
    clean.setenv("JAX_NUM_PROCESSES", "2")
    with pytest.raises(UserError, match=r"only \['JAX_NUM_PROCESSES'\] are set"):
        processes.start()


def test_alone_a_process_decides_for_itself():
    assert processes.on_first(lambda: 5) == 5
    assert processes.on_all(lambda: None) == [None]
    with pytest.raises(UserError, match=r"^bad$"):
        processes.on_all(refuse)


def refuse():
    raise UserError("bad")


@pytest.fixture
def second_of_two(monkeypatch):
    """This is process 1; returns a list in which to put what process 0 says."""
    first = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)

    def gather(mine):
        text = json.dumps(first[0]).encode()
        if len(text) > len(mine):
            text = json.dumps({"size": len(text)}).encode()
        other = text.ljust(len(mine))
        return np.stack([np.frombuffer(other, np.uint8), mine])

    monkeypatch.setattr(multihost_utils, "process_allgather", gather)
    return first


def test_the_first_process_decides_and_the_second_does_nothing(second_of_two):
    second_of_two.append({"value": [1, "ä"]})
    assert processes.on_first(refuse) == [1, "ä"]


def test_an_error_of_one_process_is_everyones(second_of_two):
    second_of_two.append({"error": "no such file"})
    with pytest.raises(UserError, match=r"^no such file \(process 0\)$"):
        processes.on_all(lambda: 1)
    second_of_two[:] = [{"value": 1}]
    with pytest.raises(UserError, match=r"^bad \(process 1\)$"):
        processes.on_all(refuse)


def test_long_words_are_exchanged_whole(second_of_two):
    second_of_two.append({"value": "short"})
    assert processes.on_first(refuse) == "short"
    long = "x" * 3 * processes._ROOM
    second_of_two[0] = {"value": long}
    told = {"value": long + "y"}
    assert processes._exchanged(told) == [{"value": long}, told]


def test_messages_come_once_and_logs_have_a_number(second_of_two, capsys):
    processes.say("hello")
    assert capsys.readouterr().err == ""
    assert processes.log_file("runs/a", "hang") == "runs/a/hang.1.log"
    assert processes.log_file("gs://b/a", "hang") == "./hang.1.log"


@pytest.fixture
def signals():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    kept = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:  # a shell's background command ignores some
        signal.signal(number, signal.SIG_DFL)
    yield numbers
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_every_signal_to_stop_is_noted(signals):
    for number in signals:
        stop = processes.StopSignal()
        assert not stop.reached(0)
        os.kill(os.getpid(), number)
        assert stop.reached(1)


@pytest.fixture
def one_of_two(signals, second_of_two, monkeypatch):
    """Events of a process among two: the service was told, the process ended."""
    told, ended = threading.Event(), threading.Event()
    monkeypatch.setattr(processes, "_note_of_jax", lambda number: told.set())
    monkeypatch.setattr(processes.os, "_exit", lambda code: ended.set())
    monkeypatch.setattr(
        multihost_utils,
        "reached_preemption_sync_point",
        lambda step: step == 3,
    )
    yield told, ended
    signal.set_wakeup_fd(-1)


def test_several_agree_on_a_step_and_hear_every_signal(signals, one_of_two):
    told, ended = one_of_two
    for number in signals:
        told.clear()
        stop = processes.StopSignal()
        assert [stop.reached(step) for step in (2, 3)] == [False, True]
        assert stop.is_set
        signal.raise_signal(number)
        assert told.wait(5)
        stop.close()
    assert not ended.is_set()


def test_a_process_whose_others_are_gone_ends(one_of_two, monkeypatch, capfd):
    told, ended = one_of_two
    monkeypatch.setattr(processes, "GRACE_S", 0.05)
    stop = processes.StopSignal()
    with stop.patient():
        signal.raise_signal(signal.SIGTERM)
        assert told.wait(5)
        assert not ended.wait(0.2)
    assert ended.wait(5)
    assert "no step within 0.05 s: other processes" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("first", "named"),
    [
        ({"a": 1, "b": [2]}, None),
        ({"b": [2], "a": 1.0}, None),
        ({"a": 1, "b": [3]}, "b is [3] for process 0, [2] for process 1"),
        ({"b": [2]}, "a is None for process 0, 1 for process 1"),
    ],
)
def test_unequal_processes_are_refused_with_the_first_difference(
    second_of_two, monkeypatch, first, named
):
    def heard(action):
        mine = action()
        digest = isinstance(mine, str)
        text = json.dumps(first, sort_keys=True).replace("1.0", "1")
        other = hashlib.sha256(text.encode()).hexdigest() if digest else first
        return [other, mine]

    monkeypatch.setattr(processes, "on_all", heard)
    if named is None:
        processes.check_same("settings", {"a": 1, "b": [2]})
        return
    with pytest.raises(UserError, match="different settings: ") as error:
        processes.check_same("settings", {"a": 1, "b": [2]})
    assert named in str(error.value)


def test_versions_are_named_and_the_code_is_one_of_them():
    versions = processes.versions()
    assert versions["version of jax"] == jax.__version__
    assert len(versions["code of babyvlm_jax"]) == 16


def test_alone_the_first_process_is_this_one(tmp_path):
    with (
        processes.locked(tmp_path),
        pytest.raises(UserError, match="in use"),
        processes.locked(tmp_path),
    ):
        pass
    with lock.held(tmp_path):
        pass
