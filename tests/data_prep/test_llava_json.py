"""The command: flags to imports, exit codes, and the corpora's own forms."""

import json
import pathlib

import pytest

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError
from data_prep import llava_json
from tests.data_prep.importing.test_records import jpeg, talk


def _plan(*argv):
    return llava_json.plan(llava_json.parser().parse_args(argv))


BASE = ("--out=shards", "--split=train")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("single_image.json", "single_image"),
        ("a/Multi-Image.v2.jsonl", "multi_image_v2"),
        ("vdr-open/data.json", "vdr_open"),
        ("x/count/train.json", "count"),
    ],
)
def test_a_dataset_is_named_after_its_file(path, name):
    assert llava_json.dataset_name(pathlib.Path(path)) == name


def test_each_file_becomes_a_dataset():
    first, second = _plan("--json=a.json", "--json=b/data.json", *BASE)
    assert (first.name, second.name) == ("a", "b")
    assert [len(job.inputs) for job in (first, second)] == [1, 1]
    assert first.inputs[0].prefix == "" and second.converter.task == "b"


def test_a_name_brings_all_files_together():
    (job,) = _plan("--json=a.json", "--json=b.json", "--name=mix", *BASE)
    assert [one.prefix for one in job.inputs] == ["a/", "b/"]
    (job,) = _plan("--json=a.json", "--name=mix", *BASE)
    assert job.inputs[0].prefix == ""


def test_flags_reach_the_import(tmp_path):
    (job,) = _plan(
        "--json=a.json", *BASE, f"--images={tmp_path}", "--max-side=0", "--strict",
        "--source=eval/count", "--workers=3", "--rename-duplicates",
    )  # fmt: skip
    assert job.strict and job.num_processes == 3 and job.split == "train"
    converter = job.converter
    assert (converter.images, converter.max_side) == (tmp_path.resolve(), 0)
    assert converter.source == "eval/count" and converter.rename_repeated


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "nothing to import"),
        (("--json=a.json", "--json=b/a.json"), "two files would be called 'a'"),
        (("--parquet=none*.parquet",), "--parquet needs --name"),
        (("--parquet=none*.parquet", "--name=x"), "no such file"),
        (("--json=a.json", "--images=/none/such"), "no such folder"),
        (("--json=a.json", "--name=Mix"), "--name=Mix: lower-case"),
        (("--json=1.json",), "--name=1: lower-case"),
        (("--json=a.json", "--source=mine"), "--source=mine is none"),
        (("--json=a.json", "--max-side=-1"), "--max-side=-1"),
        (("--json=a.json", "--out=gs://b/x"), "--out=gs://b/x: give a folder"),
        (("--json=a.json", "--split=../x"), "--split=../x: lower-case"),
    ],
)
def test_flags_that_make_no_sense(argv, message):
    with pytest.raises(UserError, match=message):
        _plan(*BASE, *argv)


def _run(*argv) -> int:
    with pytest.raises(SystemExit) as stop:
        llava_json.main(argv)
    return stop.value.code


def _pretraining(folder):
    """The three files of BabyVLM-V2 in their published form, and pictures."""
    for number in range(6):
        (folder / f"S_1_frame_{number}.jpg").write_bytes(jpeg(number))
    names = [f"S_1_frame_{number}.jpg" for number in range(6)]
    single = [talk("<image>", "you love water", image=[n]) for n in names]
    multi = [talk("<image>" * 6, "all done", image=names)]
    turns = [value for word in "abcd" for value in ("<image>", word)]
    interleaved = [talk(*turns, image=names[:4])]
    kinds = {"single_image": single, "multi_image": multi, "interleaved": interleaved}
    ids = iter(range(100))
    for name, raws in kinds.items():
        raws = [raw | {"id": next(ids)} for raw in raws]
        kinds[name] = raws
        (folder / f"{name}.json").write_text(json.dumps(raws))
    mix = [raw for raws in kinds.values() for raw in raws]
    (folder / "mix_format.json").write_text(json.dumps(mix))


def test_the_pretraining_files_of_v2(tmp_path, capsys):
    _pretraining(tmp_path)
    files = ("single_image", "multi_image", "interleaved", "mix_format")
    code = _run(
        *(f"--json={tmp_path}/{name}.json" for name in files), f"--images={tmp_path}",
        f"--out={tmp_path}/shards", "--split=train", "--strict",
    )  # fmt: skip
    assert code == 0
    out = capsys.readouterr().out
    assert "mix_format/train: 8 records" in out
    for source, count in (
        ("image_utterance", 6), ("interleaved", 1), ("video_utterance", 1)
    ):  # fmt: skip
        assert f"  {source:15}  {count} records" in out
    record = RecordSource(tmp_path / "shards", "interleaved", "train")[0]
    assert len(record.turns) == 8 and record.source == "interleaved"
    assert record.images == tuple(jpeg(n) for n in range(4))


def test_the_two_turn_file_of_v1(tmp_path):
    (tmp_path / "SAYCam").mkdir()
    (tmp_path / "SAYCam" / "a.jpg").write_bytes(jpeg(0))
    raws = [{"id": "x1", **talk("<image>\n", "there 's a kite .",
             image="SAYCam/a.jpg")} | {"id": "x1"}]  # fmt: skip
    (tmp_path / "llava_train.json").write_text(json.dumps(raws))
    code = _run(
        f"--json={tmp_path}/llava_train.json", f"--images={tmp_path}",
        f"--out={tmp_path}/shards", "--split=train",
    )  # fmt: skip
    assert code == 0
    record = RecordSource(tmp_path / "shards", "llava_train", "train")[0]
    assert record.source == "image_utterance"
    assert record.turns[1] == ("assistant", "there 's a kite .")


def test_bad_input_ends_in_one_line(tmp_path, capsys):
    (tmp_path / "a.json").write_text("{")
    code = _run(f"--json={tmp_path}/a.json", f"--out={tmp_path}/s", "--split=train")
    error = capsys.readouterr().err.splitlines()[-1]
    assert code == 78
    assert error.startswith("error: no record of a.json can be used (bad_json 1")
    assert not list((tmp_path / "s").glob("[!.]*"))


def test_a_devcv_set_with_its_extra_fields(tmp_path, capsys):
    """Ids with slashes, labels, a preview; the released set repeats an id."""
    for number in range(4):
        (tmp_path / f"{number}.jpeg").write_bytes(jpeg(number))
    rounds = ["Touch the new image. (A) <image>", "A",
              "Let's try more. (A) <image> (B) <image>", "B"]  # fmt: skip
    labels = [["cup"], ["cup", "hat"]]
    raws = [
        talk(*rounds, image=["0.jpeg", "0.jpeg", "1.jpeg"], labels=labels)
        | {"id": "memory_task_26"},
        talk("<image><image> where does the cup go?", "top left",
             image=["2.jpeg", "3.jpeg"], gif="vdr.gif") | {"id": "c8/7200_cup"},
        talk("How many bottle do you see?", "7") | {"id": "count_6"},
        talk("<image> Which has more?", "B", image=["1.jpeg"]) | {"id": "count_6"},
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.json").write_text(json.dumps(raws))
    argv = (f"--json={tmp_path}/data/data.json", f"--images={tmp_path}",
            f"--out={tmp_path}/shards", "--name=devcv")  # fmt: skip
    assert _run(*argv, "--split=test", "--source=eval/all") == 0
    assert "left out 1, listed in" in capsys.readouterr().out
    assert _run(*argv, "--split=train", "--rename-duplicates", "--strict") == 0
    test, train = (
        list(RecordSource(tmp_path / "shards", "devcv", s)) for s in ("test", "train")
    )
    assert [r.id for r in test] == ["memory_task_26", "c8/7200_cup", "count_6"]
    assert [r.id for r in train] == [r.id for r in test] + ["count_6#2"]
    assert {r.source for r in test} == {"eval/all"}
    assert test[0].images == (jpeg(0), jpeg(0), jpeg(1))
    assert test[0].turns[2] == ("human", "Let's try more. (A) <image> (B) <image>")
    assert [r.meta for r in test] == [{"labels": labels}, {"gif": "vdr.gif"}, {}]
