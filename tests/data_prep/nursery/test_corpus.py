"""The written corpus: its form, that seeds decide it, that it can be resumed."""

import hashlib
import json
import shutil
import subprocess
import sys

import av
import numpy as np
import pytest

from data_prep.nursery import __main__ as command
from data_prep.nursery import corpus, write
from data_prep.nursery import settings as settings_lib
from data_prep.nursery.settings import Settings

SETTINGS = Settings(0, 3, 6.0, (48, 40), 6)


def _digests(out):
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.glob("[!.]*/*"))
    } | {"corpus": (out / "corpus.json").read_text()}


def _write(out, settings, workers):
    job = settings_lib.job(out, settings)
    with job.begun() as done:
        assert done is None
        corpus.write_corpus(job, settings, workers)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus")
    _write(out, SETTINGS, 1)
    return out


def test_corpus_json(made):
    facts = json.loads((made / "corpus.json").read_text())
    assert facts["name"] == "nursery" and facts["synthetic"] is True
    assert facts["seed"] == 0 and facts["fps"] == 5 and facts["resolution"] == [48, 40]
    assert facts["world"]["categories"] == [
        "ball",
        "cup",
        "car",
        "star",
        "fish",
        "tree",
    ]
    assert len(facts["world"]["colours"]) == 8
    assert facts["world"]["sizes"] == ["small", "medium", "large"]
    assert len(facts["world"]["rooms"]) == 6
    assert len(facts["recordings"]) == 3
    assert set(facts["recordings"][0]) == {
        "recording", "child", "age_days", "split", "duration_s", "room",
    }  # fmt: skip
    assert "synthetic" in (made / "SYNTHETIC.md").read_text()


def test_video(made):
    for path in (made / "videos").iterdir():
        with av.open(str(path)) as container:
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert len(frames) == 30 and frames[0].shape == (40, 48, 3)
        assert np.mean(frames) > 120


def test_video_keeps_colours(tmp_path):
    frame = np.full((40, 48, 3), (214, 28, 36), np.uint8)
    frame[:, 24:] = (28, 84, 214)
    write.write_video(tmp_path / "a.mp4", [frame] * 3, (48, 40))
    with av.open(str(tmp_path / "a.mp4")) as container:
        seen = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(seen.astype(int) - frame).mean() < 6  # lossy, of 255


def test_annotations(made):
    for path in (made / "annotations").iterdir():
        coco = json.loads(path.read_text())
        assert [image["frame_index"] for image in coco["images"]] == list(range(30))
        assert coco["images"][7] == {
            "id": 8,
            "file_name": f"{path.stem}_000007.jpg",
            "width": 48,
            "height": 40,
            "frame_index": 7,
            "time_s": 1.4,
        }
        assert coco["categories"][0] == {"id": 1, "name": "ball"}
        assert coco["annotations"]
        names = {entry["id"]: entry["name"] for entry in coco["categories"]}
        for box in coco["annotations"]:
            x, y, width, height = box["bbox"]
            assert x >= 0 and y >= 0 and x + width <= 48 and y + height <= 40
            assert width > 0 and height > 0 and box["area"] == width * height
            assert 0.05 <= box["visible"] <= 1
            parts = box["instance_id"].split("_")
            assert parts[0] == names[box["category_id"]]
            assert parts[1] == box["colour"] and parts[3] == box["size"]


@pytest.mark.integration
def test_processes_do_not_matter_and_seeds_do(made, tmp_path):
    _write(tmp_path / "two", SETTINGS, 2)
    assert _digests(tmp_path / "two") == _digests(made)
    other = Settings(1, 1, 6.0, (48, 40), 6)
    _write(tmp_path / "other", other, 1)
    videos = {d for name, d in _digests(tmp_path / "other").items() if "videos" in name}
    assert not videos & set(_digests(made).values())


def test_resumes(made, tmp_path, capsys, monkeypatch):
    real, calls = write.write_json, []

    def dies(*args):
        calls.append(args)
        if len(calls) == 4:  # the annotations of the second recording
            raise KeyboardInterrupt
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(write, "write_json", dies)
        with pytest.raises(KeyboardInterrupt):
            _write(tmp_path, SETTINGS, 1)
    assert not (tmp_path / "corpus.json").exists()
    _write(tmp_path, SETTINGS, 1)
    assert "1 recordings are finished already" in capsys.readouterr().out
    assert _digests(tmp_path) == _digests(made)


def _command(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["nursery", *flags])
    with pytest.raises(SystemExit) as stop:
        command.main()
    return stop.value.code


def test_command(monkeypatch, tmp_path, capsys):
    flags = ["--size=0.01h", "--resolution=32x32", "--workers=1", "--categories=5"]
    monkeypatch.setitem(command.settings_lib.SIZES, "tiny", (1, 2.0, 5))
    flags[0] = "--size=tiny"
    out = f"--out={tmp_path / 'raw'}"
    assert _command(monkeypatch, out, *flags) == 0
    assert (tmp_path / "raw" / "corpus.json").exists()
    capsys.readouterr()
    assert _command(monkeypatch, out, *flags) == 0
    assert "is whole already" in capsys.readouterr().out
    facts = json.loads((tmp_path / "raw" / "corpus.json").read_text())
    del facts["job"], facts["identity"]  # as the first edition wrote it
    (tmp_path / "raw" / "corpus.json").write_text(json.dumps(facts))
    assert _command(monkeypatch, out, *flags) == 0
    assert "is whole already" in capsys.readouterr().out
    assert _command(monkeypatch, out, *flags, "--seed=1") == 78
    assert "an older edition made, which differs" in capsys.readouterr().err


def test_other_settings_write_it_again(made, tmp_path, capsys):
    out = shutil.copytree(made, tmp_path / "out")
    other = Settings(0, 1, 6.0, (48, 40), 6)
    _write(out, other, 1)
    assert "changed: fingerprint, num_recordings (" in capsys.readouterr().out
    assert len(list((out / "videos").iterdir())) == 1


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--seed=-1", "--seed=-1"),
        ("--sprites=/nowhere", "no such folder"),
        ("--categories=2", "--categories=2"),
    ],
)
def test_bad_flags(monkeypatch, tmp_path, capsys, flag, message):
    assert _command(monkeypatch, f"--out={tmp_path / 'raw'}", flag) == 78
    assert message in capsys.readouterr().err


def test_foreign_folder(monkeypatch, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    assert _command(monkeypatch, f"--out={tmp_path}") == 78
    assert "holds thesis.tex of an unknown job" in capsys.readouterr().err


def test_command_imports_little():
    code = (
        "import sys, data_prep.nursery.__main__ as _;"
        "assert not {'numpy', 'av', 'PIL', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
