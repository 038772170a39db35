"""The command line: whole, resumed, with bad input."""

import json
import shutil

import pytest

from babyvlm_jax.data.schema import Record, RecordSource, write_dataset
from data_prep.v1bench.__main__ import main
from tests.data_prep.devcv.coco_fixture import write_world
from tests.data_prep.v1bench.world import jpeg


def run(*flags):
    with pytest.raises(SystemExit) as stop:
        main(["build", *map(str, flags)])
    return stop.value.code


def pairs(folder):
    def pair(k):
        turns = (("human", "<image>"), ("assistant", f"look a ball {k}"))
        meta = {"recording": f"r{k % 3}"}
        return Record(f"p{k}", "image_utterance", (jpeg(k),), turns, meta)

    write_dataset(folder, "image_utterance", {"test": map(pair, range(12))}, "tests")


@pytest.fixture
def flags(tmp_path):
    path, folder = write_world(tmp_path, splits=("train", "test"))
    out = tmp_path / "out"
    pairs(out)
    found = [f"--coco={path}", f"--frames={folder}", f"--out={out}"]
    return [*found, "--number=8", "--workers=1"]


@pytest.mark.integration
def test_build_from_coco(flags, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(*flags) == 0
    told = capsys.readouterr().out
    for task in ("labeled_s", "vtwt", "caption"):
        assert f"v1_{task}: 8\n" in told
        assert len(RecordSource(out, f"v1_{task}", "test")) == 8
    summary = json.loads((out / "v1_summary.json").read_text())
    assert summary["synthetic"] is False
    assert "Visual Two-Word Test" in (out / "v1_card.md").read_text()
    assert not (out / ".jobs" / "v1").exists()
    assert all(
        recording.startswith("test")
        for item in RecordSource(out, "v1_labeled_s", "test")
        for recording in item.meta["recordings"]
    )

    first = list(RecordSource(out, "v1_vtwt", "test"))
    assert run(*flags) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert run(*flags, "--tasks=vtwt", "--seed=1") == 78
    assert "of other settings or inputs (seed" in capsys.readouterr().err
    summary["tasks"].pop("vtwt")
    (out / "v1_summary.json").write_text(json.dumps(summary))
    assert run(*flags) == 0  # only what is lacking
    assert list(RecordSource(out, "v1_vtwt", "test")) == first


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--raw=nowhere"], "no raw corpus in nowhere"),
        (["--coco=none.json"], "--coco needs --frames"),
        (["--coco=none.json", "--frames=."], "none.json: no such file"),
        (["--raw=nowhere", "--tasks=vtwt,chess"], "--tasks: unknown chess"),
    ],
)
def test_user_errors_are_one_line(tmp_path, capsys, more, message):
    assert run(*more, f"--out={tmp_path}") == 78
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_what_was_imported_is_not_overwritten(flags, tmp_path, capsys):
    folder = tmp_path / "out" / "v1_vtwt" / "1.0.0"
    folder.mkdir(parents=True)
    assert run(*flags) == 78
    assert "holds v1_vtwt of an unknown job" in capsys.readouterr().err


@pytest.mark.integration
def test_captions_need_pairs(flags, tmp_path, capsys):
    shutil.rmtree(tmp_path / "out")
    assert run(*flags, "--tasks=caption") == 78
    assert "no dataset 'image_utterance'" in capsys.readouterr().err
