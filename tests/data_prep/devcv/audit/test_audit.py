"""The command: verdicts, report, table, exit codes."""

import json
import os

import pytest

from babyvlm_jax.data.schema import write_dataset
from data_prep.devcv.__main__ import main
from tests.data_prep.devcv.audit.planted import clean


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two clean sets, and one of Ego4D in which an item comes again and again."""
    root = tmp_path_factory.mktemp("shards")
    splits = {"train": clean("compare_real", 12, start=1)}
    splits["test"] = clean("compare_real", 12)
    write_dataset(root, "devcv_compare_real", splits, "clean")
    write_dataset(root, "devcv_lwl", {"test": clean("lwl", 6)}, "clean")
    bad = {"test": clean("lwl", 6), "train": clean("lwl", 3, start=1)}
    write_dataset(root, "devcv_ego4d_lwl", bad, "held out and trained on")
    write_dataset(root, "frames", {"train": clean("lwl", 1)}, "no DevCV task")
    return root


def _run(*flags):
    with pytest.raises(SystemExit) as stop:
        main(["audit", "--workers=1", *map(str, flags)])
    return stop.value.code


def test_verdicts_report_and_table(shards, tmp_path, capsys):
    report, table = tmp_path / "audit.json", tmp_path / "audit.md"
    assert _run(shards, f"--json={report}", f"--markdown={table}") == 0
    told = capsys.readouterr().out
    assert "devcv_compare_real (train 12, test 12)" in told
    assert "  ok     duplicates  no item of 24 is there twice" in told
    assert told.splitlines()[-1] == "1 faults: devcv_ego4d_lwl 1"
    found = json.loads(report.read_text())
    assert found["faults"] == 1
    names = [(one["name"], one["task"], one["source"]) for one in found["datasets"]]
    assert names == [
        ("devcv_compare_real", "compare_real", ""),
        ("devcv_ego4d_lwl", "lwl", "ego4d"),
        ("devcv_lwl", "lwl", ""),
    ]
    (row,) = [line for line in table.read_text().splitlines() if "ego4d" in line]
    assert row.startswith("| `devcv_ego4d_lwl` | 9 | 0 | ") and "3 **FAULT**" in row


def test_chosen_sets_and_strict(shards, tmp_path, capsys):
    place = f"--json={tmp_path / 'audit.json'}"
    assert _run(shards, place, "--source=", "--strict") == 0
    assert "clean: no fault in 2 datasets" in capsys.readouterr().out
    flags = ["--tasks=lwl", "--source=ego4d", "--max-items=2", "--strict"]
    assert _run(shards, place, *flags) == 78
    told = capsys.readouterr()
    assert "devcv_ego4d_lwl (train 2, test 2)" in told.out
    assert "--strict: 1 faults: devcv_ego4d_lwl 1" in told.err


@pytest.mark.usefixtures("processes")
def test_processes_change_nothing(shards, tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    assert _run(shards, f"--json={one}", "--tasks=compare_real") == 0
    flags = ["audit", str(shards), f"--json={two}", "--tasks=compare_real"]
    with pytest.raises(SystemExit):
        main([*flags, "--workers=2"])
    assert json.loads(one.read_text()) == json.loads(two.read_text())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["."], "holds no dataset devcv_TASK; build or import one first"),
        ([".", "--source=nih"], "devcv_TASK of the source 'nih'"),
        ([".", "--tasks=chess"], "--tasks: unknown chess"),
        ([".", "--max-items=-1"], "--max-items=-1; give 0 or more"),
    ],
)
def test_user_errors(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    assert _run(*flags) == 78
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_a_report_that_cannot_be_written(shards, tmp_path, capsys):
    place = tmp_path / "none" / "audit.json"
    assert not os.path.exists(place.parent)
    assert _run(shards, f"--json={place}") == 78
    assert "its folder cannot be written" in capsys.readouterr().err
