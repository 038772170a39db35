"""The command line: exit codes and messages."""

import json

import pytest

from data_prep.devcv.__main__ import main
from tests.data_prep.devcv.coco_fixture import write_world


def _run(*flags):
    with pytest.raises(SystemExit) as stop:
        main(["build", *map(str, flags)])
    return stop.value.code


def test_build_from_coco(tmp_path, capsys):
    path, folder = write_world(tmp_path, splits=("test",))
    out = tmp_path / "out"
    flags = [f"--coco={path}", f"--frames={folder}", f"--out={out}"]
    flags += ["--test=8", "--tasks=count,leftright", "--workers=1"]
    flags += [f"--json={tmp_path / 'released'}"]
    assert _run(*flags) == 0
    told = capsys.readouterr().out
    assert "devcv_count: 0 + 0 + 8; train: 2000 wanted; val: 40 wanted" in told
    assert "16 items in the released layout" in told
    released = json.loads((tmp_path / "released" / "count_test.json").read_text())
    assert [item["id"] for item in released] == [
        f"count_test_{k:06d}" for k in range(8)
    ]
    assert _run(*flags) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert _run(*flags, "--tasks=count", "--leaky-size") == 78
    assert "holds leftright of other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--raw=nowhere"], "no raw corpus in nowhere"),
        (["--coco=none.json"], "--coco needs --frames"),
        (["--coco=none.json", "--frames=."], "none.json: no such file"),
        (
            ["--coco=./x", "--frames=.", "--detections=none.json"],
            "x: no such file; give --coco=FILE",
        ),
        (["--raw=nowhere", "--seed=-1"], "--seed=-1; give 0 or more"),
        (["--raw=nowhere", "--min-score=0.5"], "--link-iou are for --coco"),
        (["--raw=nowhere", "--words=none"], "no raw corpus in nowhere"),
        (["--coco=none.json", "--link-iou=2"], "--link-iou=2.0; give a number"),
    ],
)
def test_user_errors_are_one_line(tmp_path, capsys, flags, message):
    assert _run(*flags, f"--out={tmp_path}") == 78
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_unknown_task(tmp_path, capsys):
    path, folder = write_world(tmp_path, splits=())
    flags = [f"--coco={path}", f"--frames={folder}", f"--out={tmp_path}"]
    assert _run(*flags, "--tasks=count,chess") == 78
    assert "--tasks: unknown chess" in capsys.readouterr().err
