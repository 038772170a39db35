"""The four CSV layouts, good rows and bad ones."""

import json
import os
import random

import pytest

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import UserError
from data_prep.v1bench import csvs, imports
from data_prep.v1bench.__main__ import main
from data_prep.v1bench.imports import import_csv, summary_path
from tests.chosen import some
from tests.data_prep.v1bench.world import write_pictures

FRAME = "S_20130901_1015_04_229_14.jpg"
OTHER = "S_20130902_0815_01_007_00.jpg"
NEGATIVE = "S_20130901_1015_04_229_14_neg.jpeg"

LABELED = """trial_id,target_category,real_category,image
0,cat,cat,cat/a.jpeg
0,cat,ball,ball/a.jpeg
0,cat,car,car/a.jpeg
0,cat,door,door/a.jpeg
1,ball,ball,ball/a.jpeg
1,ball,cat,cat/a.jpeg
1,ball,car,car/missing.jpeg
1,ball,door,door/a.jpeg
2,ball,cat,cat/a.jpeg
2,ball,car,car/a.jpeg
3,car,car,../car/a.jpeg
3,car,cat,cat/a.jpeg
"""
LABELED_FILES = ("cat/a.jpeg", "ball/a.jpeg", "car/a.jpeg", "door/a.jpeg")


def write(folder, text, name="items.csv"):
    path = folder / name
    path.write_text(text)
    return path


def read(out, task):
    return sorted(RecordSource(out, f"v1_{task}", "test"), key=lambda record: record.id)


def imported(tmp_path, text, files, words=None, strict=False):
    images = write_pictures(tmp_path / "images", files)
    path, out = write(tmp_path, text), tmp_path / "shards"
    return import_csv(path, [images], out, words or {}, strict), out


def test_labeled_s(tmp_path):
    summary, out = imported(tmp_path, LABELED, LABELED_FILES, {"cat": "kitty"})
    (item,) = read(out, "labeled_s")
    assert (item.id, item.source) == ("labeled_s_0", "eval/labeled_s")
    assert item.meta["word"] == "kitty"
    assert sorted(item.meta["options"]) == ["ball", "car", "cat", "door"]
    right = "ABCD".index(item.turns[1][1])
    assert item.meta["options"][right] == "cat"
    assert item.images[right] == (tmp_path / "images/cat/a.jpeg").read_bytes()
    assert "recordings" not in item.meta
    skipped = [(s["number"], s["id"], s["reason"]) for s in summary["skipped"]]
    assert skipped == [
        (6, "labeled_s_1", "missing_image"),
        (10, "labeled_s_2", "bad_trial"),
        (12, "labeled_s_3", "outside_folder"),
    ]
    assert summary["reasons"] == {
        "missing_image": 1,
        "bad_trial": 1,
        "outside_folder": 1,
    }
    assert json.loads(summary_path(out, "labeled_s").read_text()) == summary


def test_two_word_test(tmp_path):
    text = (
        "image,positive_phrase,negative_phrase\n"
        f"{FRAME},read book,eat book\n"
        f'{OTHER},"happy faces",sad faces\n'
        f"{FRAME},wash cup,Wash cup\n"
        f"{FRAME},wash cup,\n"
        f"{FRAME},fill cup,wash cup,extra\n"
    )
    summary, out = imported(tmp_path, text, (FRAME, OTHER))
    first, second = read(out, "vtwt")
    assert first.id == FRAME.removesuffix(".jpg")
    assert first.meta["recordings"] == ["S_20130901_1015_04"]
    assert (first.meta["positive"], first.meta["difference"]) == ("read book", "first")
    right = "AB".index(first.turns[1][1])
    assert first.meta["pairs"][0][right] == [0, "read book"]
    assert second.meta["negative"] == "sad faces"
    assert [(s["number"], s["reason"]) for s in summary["skipped"]] == [
        (4, "same_phrases"),
        (5, "bad_row"),
        (6, "bad_row"),
    ]


def test_winoground_from_two_folders(tmp_path):
    text = (
        "instance_id,positive_phrase,negative_phrase,image,image_tag\n"
        f"0,happy bug,sad bug,{NEGATIVE},negative\n"
        f"0,happy bug,sad bug,{FRAME},positive\n"
        f"1,red cup,blue cup,{FRAME},positive\n"
        f"1,red cup,blue cup,{FRAME},positive\n"
        f"2,red cup,blue cup,{FRAME},positive\n"
        f"2,red cup,blue mug,{NEGATIVE},negative\n"
    )
    frames = write_pictures(tmp_path / "frames", [FRAME])
    made = write_pictures(tmp_path / "made", ["x.jpg", NEGATIVE])
    out = tmp_path / "shards"
    summary = import_csv(write(tmp_path, text), [frames, made], out, {}, False)
    (item,) = read(out, "winoground")
    assert item.images[0] == (frames / FRAME).read_bytes()
    assert item.images[1] == (made / NEGATIVE).read_bytes()
    assert item.meta["recordings"] == ["S_20130901_1015_04"]
    assert item.meta["files"] == [FRAME, NEGATIVE]
    assert [(s["number"], s["reason"]) for s in summary["skipped"]] == [
        (4, "bad_trial"),
        (6, "bad_trial"),
    ]


def test_captions(tmp_path):
    text = f"image,text\n{FRAME},there 's a kite .\n{FRAME},look\n"
    _, out = imported(tmp_path, text, [FRAME])
    first, second = read(out, "caption")
    assert first.turns == (("human", "<image>"), ("assistant", "there 's a kite ."))
    assert second.id == f"{first.id}#2"


def test_the_same_again_does_nothing_and_something_else_is_refused(tmp_path):
    summary, out = imported(tmp_path, LABELED, LABELED_FILES)
    dataset = out / "v1_labeled_s"
    before = os.stat(dataset / "1.0.0" / "dataset_info.json").st_mtime_ns
    again, _ = imported(tmp_path, LABELED, LABELED_FILES)
    assert again == json.loads(json.dumps(summary))
    assert os.stat(dataset / "1.0.0" / "dataset_info.json").st_mtime_ns == before
    with pytest.raises(UserError, match="made from something else"):
        imported(tmp_path, LABELED, LABELED_FILES, {"cat": "kitty"})
    with pytest.raises(UserError, match=r"line 6 \(labeled_s_1\): missing_image"):
        imported(tmp_path, LABELED, LABELED_FILES, strict=True)


def test_faults_of_a_whole_file(tmp_path):
    with pytest.raises(UserError, match=r"'picture'.*no test; expected labeled_s"):
        csvs.read_items(write(tmp_path, "picture,words\na,b\n"))
    with pytest.raises(UserError, match="cannot be read"):
        csvs.read_items(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"none of its 1 items.*missing_image"):
        imported(tmp_path, "image,text\nnone.jpg,look\n", ["other.jpg"])


def run(*flags):
    with pytest.raises(SystemExit) as stop:
        main(["import", *map(str, flags)])
    return stop.value.code


def test_command(tmp_path, capsys):
    images = write_pictures(tmp_path / "images", LABELED_FILES)
    flags = ["--csv", write(tmp_path, LABELED), "--images", images]
    flags += [f"--out={tmp_path / 'shards'}"]
    assert run(*flags) == 0
    told = capsys.readouterr().out
    assert "v1_labeled_s/test: 1 records" in told
    assert "left out 3, listed in" in told
    assert "line 6, labeled_s_1: car/missing.jpeg" in told
    assert run(*flags, "--word=cat") == 78
    assert "--word=cat; give WORD=OTHER" in capsys.readouterr().err
    assert run(*flags[:2], "--images", tmp_path / "no", f"--out={tmp_path}/s2") == 78
    assert "no such folder" in capsys.readouterr().err


CELLS = ("", "0", "cat", "cat/a.jpeg", "../a.jpeg", "cat/a#2.jpeg", "<image>", "a\0b",
         "\udcff", "x" * 200_000, "positive", "negative", '"', "\ufeff")  # fmt: skip


@pytest.mark.parametrize("task", some(csvs.COLUMNS, ("vtwt",)))
def test_a_csv_of_anything_is_read_or_refused(tmp_path, task):
    """Each row is an item, a part of one, or is left out by name."""
    images = write_pictures(tmp_path / "images", LABELED_FILES)
    rng = random.Random(0)
    columns = csvs.COLUMNS[task]
    made = 0
    for _ in range(20):
        rows = [
            [rng.choice(CELLS) for _ in range(len(columns) + rng.choice((0, 0, 0, 1)))]
            for _ in range(12)
        ]
        lines = [columns, *rows, ["0", *["cat"] * (len(columns) - 2), "cat/a.jpeg"]]
        data = "\n".join(",".join(row) for row in lines).encode(
            errors="surrogateescape"
        )
        path = tmp_path / "items.csv"
        path.write_bytes(data.replace(b"cat", rng.randbytes(3), rng.randrange(2)))
        try:
            found, items = csvs.read_items(path)
            whole, skipped = imports._convert(path, found, items, [images], {}, False)
        except UserError as error:
            assert str(path) in str(error)
            continue
        assert len(whole) + len(skipped) == len(items)
        assert len({record.id for record in whole}) == len(whole)
        made += len(whole)
    assert made or task in csvs.GROUPS  # rows that fit together are rare


def test_an_import_that_another_process_makes_is_refused(tmp_path):
    with (
        lock.held(tmp_path / "shards" / ".jobs", "v1_labeled_s-test.lock"),
        pytest.raises(UserError, match="is in use by"),
    ):
        imported(tmp_path, LABELED, LABELED_FILES)
