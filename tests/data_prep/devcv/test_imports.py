"""Released sets -> datasets: layouts, variants, bad items."""

import json

import pytest

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv import imports, released
from data_prep.devcv.__main__ import main
from tests.data_prep.devcv.released_fixture import (
    ITEMS,
    Writer,
    memory_item,
    picture,
    turn,
    write_released,
)

TASKS = {name.replace("-", "_") for name in ITEMS} | {"memory"}


def _run(*flags):
    with pytest.raises(SystemExit) as stop:
        main(["import", "--workers=1", *map(str, flags)])
    return stop.value.code


def _import(root, out, **changes):
    found, _ = imports.find_sets(root, "test", {})
    return imports.import_sets(found, out, "", **changes)


def _only(out, name, split="test"):
    (record,) = RecordSource(out, name, split)
    return record


def test_every_task_is_imported_unchanged(tmp_path, capsys):
    root, out = write_released(tmp_path / "set"), tmp_path / "out"
    assert _run(f"--from={root}", f"--out={out}", "--source=ego4d") == 0
    assert "devcv_ego4d_vdr_open/test: 1 records" in capsys.readouterr().out
    for name, (human, gpt, size) in ITEMS.items():
        task = name.replace("-", "_")
        record = _only(out, f"devcv_ego4d_{task}")
        assert record.turns == (("human", human), ("assistant", gpt))
        assert record.source == f"eval/{task}" and len(record.images) == size
        assert record.meta["answer"] == gpt and record.meta["corpus"] == "ego4d"
        assert record.meta["task"] == task
    localize = _only(out, "devcv_ego4d_localize")
    assert localize.meta["bb"] == [1, 2, 3, 4] and localize.meta["noun"] == "cup"
    assert localize.images == (picture(300),)
    assert _only(out, "devcv_ego4d_count").meta["number"] == 9
    assert _only(out, "devcv_ego4d_picture_vocabulary").meta["word"] == "cup"
    folded = _only(out, "devcv_ego4d_vdr_open")
    assert folded.meta["gif"] == "images/x.gif" and len(folded.images) == 50
    assert folded.meta["recordings"] == ["video7"]
    assert folded.meta["direction"] == "top left"


def test_memory_labels_come_from_equal_files(tmp_path):
    root = write_released(tmp_path / "set")
    _import(root, tmp_path / "out")
    meta = _only(tmp_path / "out", "devcv_memory").meta
    assert meta["labels_from"] == "bytes" and len(meta["labels"]) == 15
    assert meta["labels"][:3] == [
        ["picture_0"],
        ["picture_1", "picture_0"],
        ["picture_2", "picture_1"],
    ]
    assert sum(round_.count("picture_0") for round_ in meta["labels"]) == 4


def test_thirty_rounds_with_labels_in_three_forms(tmp_path):
    turns, seeds, labels = memory_item(10)
    assert len(turns) == 60 and len(seeds) == 59
    writer = Writer(tmp_path / "memory", "m")
    flat = [name for names in labels for name in names]
    writer.add("whole", turns, seeds, labels=labels)
    writer.add("flat", turns, seeds, labels=flat)
    writer.add("short", turns, seeds, labels=labels[:-1])
    writer.save()
    _import(tmp_path, tmp_path / "out")
    metas = {
        r.id: r.meta for r in RecordSource(tmp_path / "out", "devcv_memory", "test")
    }
    assert metas["whole"]["labels"] == metas["flat"]["labels"] == labels
    assert metas["flat"]["labels_given"] == flat
    assert metas["short"]["labels_from"] == "bytes"
    assert metas["short"]["labels_given"] == labels[:-1]


def test_flat_layout_splits_and_equal_ids(tmp_path):
    human, gpt, _ = ITEMS["compare_real"]
    for split in ("train", "test"):
        writer = Writer(tmp_path, split)
        writer.add("count_6", turn(human, gpt), (1, 2))
        writer.add("count_6", turn(human, "A"), (3, 4), notes=[2, 1])
        writer.save(f"compare_real_{split}.json")
    out = tmp_path / "out"
    summaries, failures = _import(tmp_path, out)
    assert len(summaries) == 2 and not failures
    records = {r.id: r for r in RecordSource(out, "devcv_compare_real", "train")}
    assert set(records) == {"count_6", "count_6#2"}
    assert records["count_6#2"].meta["notes"] == [2, 1]
    assert records["count_6"].source == "instruction/compare_real"


def test_one_task_folder_names_and_numbers(tmp_path):
    writer = Writer(tmp_path / "who_has_more", "w")
    writer.add(3, turn("More of cup? (1) <image> (2) <image>", "2"), (1, 2), answer="b")
    item = writer.add(4, turn("More of cup? (A) A (B) B", "A"), (3, 4))
    item["image"] = [path.removeprefix("images/") for path in item["image"]]
    writer.save()
    found, _ = imports.find_sets(tmp_path / "who_has_more", "val", {})
    assert [(one.task, one.split) for one in found] == [("compare_synthetic", "val")]
    renamed = {"who_has_more": "compare_real"}
    found, _ = imports.find_sets(tmp_path, "test", renamed)
    imports.import_sets(found, tmp_path / "out", "nih")
    records = {
        r.id: r
        for r in RecordSource(tmp_path / "out", "devcv_nih_compare_real", "test")
    }
    assert (
        records["3"].meta["answer"] == "2" and records["3"].meta["answer_given"] == "b"
    )
    assert records["4"].turns[0][1] == "<image><image>\nMore of cup? (A) A (B) B"


@pytest.mark.parametrize(
    ("path", "task", "split"),
    [
        ("count/data.json", "count", "val"),  # --split
        ("count/count_test.json", "count", "test"),
        ("count/train.json", "count", "train"),
        ("count_test.json", "count", "test"),
        ("test/vdr-binary/data.json", "vdr_binary", "test"),
        ("train/whohasmore_synthetic/data.json", "compare_synthetic", "train"),
        ("vdr/binary_test.json", "vdr_binary", "test"),
        ("vdr/open_test.json", "vdr_open", "test"),
        ("picture_vocabulary_v6_train_verified/dataset.json", "picture_vocabulary", ""),
        ("memory_task/memory_task_test_final_250.json", "memory", "test"),
        ("chess/data.json", None, "chess"),
        ("count/chess_test.json", None, "chess_test"),
        ("picture_vocab_selected/data.json", None, "picture_vocab_selected"),
        ("a/b/c/count_test.json", None, ""),  # too deep to be looked for
        ("count/images/data.json", None, ""),
        ("MANIFEST.json", None, ""),
    ],
)
def test_layouts(tmp_path, path, task, split):
    writer = Writer(tmp_path / "set" / "localize", "l")
    writer.add("l", turn(*ITEMS["localize"][:2]), (1,))
    writer.save("localize_test.json")
    file = tmp_path / "set" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[]")
    found, problems = imports.find_sets(tmp_path / "set", "val", {})
    others = [one for one in found if one.task != "localize"]
    if task:
        assert [(one.task, one.split, one.path) for one in others] == [
            (task, split or "train", file)
        ]
    else:
        assert not others
    if task or not split:
        assert not problems
    else:
        assert f"give --task={split}=TASK" in problems[0] and str(file) in problems[0]


def test_a_split_with_folders_of_tasks(tmp_path):
    for split in ("train", "test"):
        writer = Writer(tmp_path / "set" / split / "count", "c")
        writer.add(f"{split}_1", turn(*ITEMS["count"][:2]), (1,))
        writer.save()
    out = tmp_path / "out"
    assert _run(f"--from={tmp_path / 'set'}", f"--out={out}") == 0
    assert _only(out, "devcv_count", "train").id == "train_1"
    # one split alone
    found, _ = imports.find_sets(tmp_path / "set" / "train", "test", {})
    assert [(one.task, one.split) for one in found] == [("count", "train")]


BAD = {
    "identical_options": (ITEMS["compare_real"][0], "A", (1, 1)),
    "image_marks": ("Which has more? (A) <image> (B)", "A", (1, 2)),
    "not_offered": (ITEMS["compare_real"][0], "C", (1, 2)),
    "no_choices": ("Which has more? <image> <image>", "the first", (1, 2)),
    "missing_image": (ITEMS["compare_real"][0], "A", (1, 2)),
}


@pytest.fixture
def bad_set(tmp_path):
    writer = Writer(tmp_path / "set" / "compare_real", "c")
    writer.add("good", turn(ITEMS["compare_real"][0], "B"), (8, 9))
    for reason, (human, gpt, seeds) in BAD.items():
        item = writer.add(reason, turn(human, gpt), seeds)
        if reason == "missing_image":
            item["image"][1] = "images/gone.png"
    writer.save()
    return tmp_path / "set"


def test_bad_items_are_named_and_counted(bad_set, tmp_path, capsys):
    out = tmp_path / "out"
    assert _run(f"--from={bad_set}", f"--out={out}") == 0
    told = capsys.readouterr().out
    assert "left out 5" in told and "identical_options  1" in told
    assert _only(out, "devcv_compare_real").id == "good"
    summary = json.loads((out / "imports" / "devcv_compare_real-test.json").read_text())
    assert {one["id"]: one["reason"] for one in summary["skipped"]} == {
        reason: reason for reason in BAD
    }


def test_strict_ends_at_the_first_bad_item(bad_set, tmp_path, capsys):
    out = tmp_path / "out"
    assert _run(f"--from={bad_set}", f"--out={out}", "--strict") == 78
    error = capsys.readouterr().err
    assert "record 1 of data.json (id 'identical_options')" in error
    assert not (out / "devcv_compare_real").exists()


def test_unanswerable_items_are_kept_if_asked(bad_set, tmp_path):
    out = tmp_path / "out"
    assert _run(f"--from={bad_set}", f"--out={out}", "--keep-unanswerable") == 0
    ids = {record.id for record in RecordSource(out, "devcv_compare_real", "test")}
    assert ids == {"good", "identical_options"}


def test_a_file_that_gives_nothing_does_not_end_the_others(bad_set, tmp_path, capsys):
    (bad_set / "count").mkdir()
    (bad_set / "count" / "data.json").write_text("[{")
    (bad_set / "chess").mkdir()
    (bad_set / "chess" / "data.json").write_text("[]")
    out = tmp_path / "out"
    assert _run(f"--from={bad_set}", f"--out={out}") == 78
    told = capsys.readouterr()
    assert "1 of 2 files gave nothing: count/test" in told.err
    assert "give --task=chess=TASK" in told.out
    assert _only(out, "devcv_compare_real").id == "good"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--from=nowhere"], "--from=nowhere: no such folder"),
        (["--from=."], "no DevCV items; expected TASK/data.json"),
        (["--from=.", "--split=dev"], "--split=dev; give one of"),
        (["--from=.", "--source=Ego 4D"], "--source=Ego 4D: lower-case"),
        (["--from=.", "--task=chess"], "--task=chess; give NAME=TASK"),
    ],
)
def test_user_errors(tmp_path, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    if "--source" in flags[-1]:
        write_released(tmp_path)
    code = _run(*flags, "--out=out", "--tasks=count")
    error = capsys.readouterr().err
    assert code == 78 and message in error and len(error.splitlines()) == 1


def test_two_files_of_one_split_are_refused(tmp_path):
    for name in ("pv", "picture_vocab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.json").write_text("[]")
    with pytest.raises(UserError, match="are both picture_vocabulary, test"):
        imports.find_sets(tmp_path, "test", {})


@pytest.mark.parametrize(
    ("prompt", "noun"),
    [
        ("<image> How many of toy cup do you see?", "toy cup"),
        ("<image> How many bicycles do you see?", "bicycles"),
        ("Which image has more of on? (A) <image>", "on"),
        ("Which image has more people? (A) <image>", "people"),
        ("<image> Point at the cup. Is it in the", "cup"),
        ("Touch the image of 'cup' (A)<image>", "cup"),
        ("<image> do the toys collectively leave the frame", "toys"),
        ("<image> which part of the frame does the lamp leave from?", "lamp"),
        ("Touch the new image.", None),
    ],
)
def test_nouns(prompt, noun):
    assert released.noun_of(prompt) == noun


def test_sources_are_checked():
    assert imports.check_source("ego4d") == "ego4d" and imports.check_source("") == ""
    for bad in ("Ego4D", "_x", "a__b", "4d"):
        with pytest.raises(UserError, match="--source"):
            imports.check_source(bad)


@pytest.mark.parametrize(
    ("released", "task"),
    [
        ("vdr-binary", "vdr_binary"),
        ("baby_pv", "picture_vocabulary"),
        ("Who Has More", "compare_synthetic"),
        ("spatial", "spatialdetails"),
        ("memory", "memory"),
        # names of files and folders of the releases
        ("count_v2_test", "count"),
        ("memory_task_test_final_250", "memory"),
        ("total_binary_dataset_train", "vdr_binary"),
        ("open_test", "vdr_open"),
        ("vdr_image_task", "vdr_binary"),
        ("localize_4_crop_instructions_abc_test", "localize"),
        ("interleaved_leftright_instructions_abc_train", "leftright"),
        ("abc_interleaved_spatialdetails_instructions_val", "spatialdetails"),
        ("picture_vocabulary_v6_train_verified", "picture_vocabulary"),
        ("pv_test", "picture_vocabulary"),
        ("compare_synthetic_instructions_train_abc", "compare_synthetic"),
        ("compare_larger_train_abc", "compare_real"),
        ("whohasmore_naturalistic", "compare_real"),
        ("whohasmore_synthetic", "compare_synthetic"),
        ("picture_vocab_selected", None),  # a part of another
        ("data", None),
        ("chess", None),
    ],
)
def test_released_names(released, task):
    assert imports.task_named(released) == task
