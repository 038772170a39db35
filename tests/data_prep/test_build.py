import json
import shutil

import pytest

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from configs.prep import nursery
from data_prep import build as command
from data_prep.stages.config import BuildConfig
from tests.chosen import some
from tests.data_prep.raw_fixture import (
    TRAIN,
    VAL,
    default_lines,
    write_corpus,
    write_json,
    write_video,
)

DATASETS = ("frames", "image_utterance", "interleaved", "text", "video_utterance")
SECOND = "S_20300104_0700_02"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    recordings = {TRAIN: "train", SECOND: "train", VAL: "val", "Y_1": "test"}
    return write_corpus(tmp_path_factory.mktemp("raw"), recordings)


def _config(raw, out, **changes):
    values = {**nursery.get_config().to_dict(), "raw": str(raw), "out": str(out)}
    return from_dict(BuildConfig, {**values, "num_processes": 1, **changes})


def _all_records(shards):
    """(dataset, split) -> records sorted by id."""
    return {
        (name, split): sorted(
            RecordSource(shards, name, split), key=lambda record: record.id
        )
        for name in DATASETS
        for split in splits_of(shards, name)
    }


@pytest.fixture(scope="module")
def shards(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "shards"
    command.build(_config(raw, out))
    return out


def test_counts_agree_with_the_summary(shards):
    summary = json.loads((shards / "build_summary.json").read_text())
    counts = {name: {"test": 0} for name in DATASETS}
    for (name, split), records in _all_records(shards).items():
        counts[name][split] = len(records)
    assert summary["datasets"] == counts
    assert counts["text"] == {"train": 12, "val": 6, "test": 6}
    assert counts["frames"] == {"train": 40, "val": 20, "test": 0}
    assert summary["recordings"] == {"train": 2, "val": 1, "test": 1}
    assert summary["video_hours"] == {"train": 0.0111, "val": 0.0056, "test": 0.0056}
    assert summary["synthetic"] is True
    assert summary["problems"] == []
    assert not (shards / ".jobs" / "build").exists()


def test_card_says_what_it_is(shards):
    card = (shards / "dataset_card.md").read_text()
    assert "**Synthetic**" in card
    assert "| text | 12 | 6 | 6 |" in card
    assert "| hours of video | 0.0111 | 0.0056 | 0.0056 |" in card
    assert "`min_confidence` = 0.3" in card


def test_no_recording_is_in_two_splits(shards):
    splits = {}
    for (_, split), records in _all_records(shards).items():
        for record in records:
            assert record.meta["split"] == split
            assert record.id.startswith(record.meta["recording"])
            splits.setdefault(record.meta["recording"], set()).add(split)
    assert splits == {
        TRAIN: {"train"},
        SECOND: {"train"},
        VAL: {"val"},
        "Y_1": {"test"},
    }


@pytest.mark.integration
@pytest.mark.usefixtures("processes")
def test_two_processes_give_the_same(raw, shards, tmp_path):
    command.build(_config(raw, tmp_path, num_processes=2))
    assert _all_records(tmp_path) == _all_records(shards)


@pytest.mark.parametrize("stage", some(["_write_one", "card"], ("_write_one",)))
def test_killed_build_goes_on(raw, shards, tmp_path, monkeypatch, stage):
    prepared = []
    prepare = command.prepare
    monkeypatch.setattr(
        command, "prepare", lambda *a: prepared.append(a[1].recording) or prepare(*a)
    )

    def die(*args):
        raise KeyboardInterrupt

    config = _config(raw, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(command, stage, die)
        with pytest.raises(KeyboardInterrupt):
            command.build(config)
    assert not (tmp_path / "build_summary.json").exists()
    for report in (tmp_path / ".jobs" / "build").glob("*/report.json"):
        if json.loads(report.read_text()).get("recording") == VAL:
            report.unlink()  # as if killed before this one
    prepared.clear()
    command.build(config)
    assert prepared == [VAL]
    assert _all_records(tmp_path) == _all_records(shards)
    for name in ("build_summary.json", "dataset_card.md"):
        assert (tmp_path / name).read_text() == (shards / name).read_text()


def test_finished_build_is_left_alone(raw, shards, capsys):
    before = (shards / "build_summary.json").stat().st_mtime_ns
    command.build(_config(raw, shards))
    assert capsys.readouterr().out == f"shards are complete: {shards}\n"
    assert (shards / "build_summary.json").stat().st_mtime_ns == before


def _change_transcript(raw):
    path = raw / "transcripts" / f"{VAL}.json"
    write_json(path, json.loads(path.read_text())[:2])


def _change_video(raw):
    write_video(raw / "videos" / f"{VAL}.mp4", 90)


@pytest.mark.parametrize(
    ("change", "settings", "prepared", "text"),
    [
        (_change_transcript, {}, [VAL], 2),
        pytest.param(_change_video, {}, [VAL], 6, marks=pytest.mark.integration),
        pytest.param(
            None,
            {"min_duration_s": 1.3},
            [TRAIN, VAL],
            2,
            marks=pytest.mark.integration,
        ),
    ],
)
def test_what_has_changed_is_made_again(
    tmp_path, monkeypatch, change, settings, prepared, text
):
    raw = write_corpus(tmp_path / "raw", {TRAIN: "train", VAL: "val"})
    out, done = tmp_path / "out", []
    command.build(_config(raw, out))
    prepare = command.prepare
    monkeypatch.setattr(
        command, "prepare", lambda *a: done.append(a[1].recording) or prepare(*a)
    )
    if change:
        change(raw)
    moved = raw.rename(tmp_path / "moved")
    command.build(_config(moved, out, **settings))
    assert done == prepared
    assert len(RecordSource(out, "text", "val")) == text
    command.build(_config(moved, tmp_path / "anew", **settings))
    assert _all_records(out) == _all_records(tmp_path / "anew")
    done.clear()
    command.build(_config(moved, out, **settings))
    assert done == []


def test_another_corpus_is_refused(shards, tmp_path):
    raw = write_corpus(tmp_path / "raw", {TRAIN: "train"}, num_frames=10)
    corpus = json.loads((raw / "corpus.json").read_text())
    write_json(raw / "corpus.json", {**corpus, "name": "other"})
    with pytest.raises(UserError, match="holds build of the corpus 'tiny'"):
        command.build(_config(raw, shards))


def test_a_first_edition_build_is_left_alone(raw, shards, tmp_path, capsys):
    out = shutil.copytree(shards, tmp_path / "out")
    summary = json.loads((out / "build_summary.json").read_text())
    del summary["job"], summary["identity"]["inputs"]
    del summary["identity"]["keep_unscored"]
    write_json(out / "build_summary.json", summary)
    command.build(_config(raw, out))
    assert "shards are complete" in capsys.readouterr().out


def test_transcripts_without_confidence_are_kept(tmp_path):
    lines = [
        {k: v for k, v in one.items() if k != "confidence"} for one in default_lines()
    ]
    raw = write_corpus(tmp_path / "raw", {TRAIN: "train"}, {TRAIN: lines})
    command.build(_config(raw, tmp_path / "out"))
    summary = json.loads((tmp_path / "out" / "build_summary.json").read_text())
    assert summary["datasets"]["text"]["train"] == summary["unscored"] == 6
    with pytest.raises(UserError, match=r"all 6 lines .* left out \(unscored 6\)"):
        command.build(_config(raw, tmp_path / "none", keep_unscored=False))
    assert not (tmp_path / "none" / "build_summary.json").exists()


def test_one_bad_line_never_ends_a_build(tmp_path):
    faults = [
        {"start_s": 10**400},
        {"confidence": 10**400},
        {"text": "look \ud800 here"},
        {"text": "look <image> here"},
        {"end_s": float("nan")},
        {"speaker": ["mother"]},
    ]
    hostile = [{**default_lines()[0], **fault} for fault in faults]
    raw = write_corpus(
        tmp_path / "raw",
        {TRAIN: "train", "identity": "train", "deep": "train"},
        {TRAIN: default_lines() + hostile},
    )
    marked = raw / "transcripts" / "identity.json"
    marked.write_text("\ufeff" + marked.read_text())
    (raw / "transcripts" / "deep.json").write_text("[" * 100_000)
    command.build(_config(raw, tmp_path / "out"))
    summary = json.loads((tmp_path / "out" / "build_summary.json").read_text())
    assert summary["datasets"]["text"]["train"] == 12
    assert summary["dropped"] == {"bad_line": 5, "image_mark": 1}
    assert summary["unusable"] == ["deep"]
    assert len(summary["problems"]) == 7


def test_one_bad_recording_does_not_end_the_build(tmp_path):
    raw = write_corpus(tmp_path / "raw", {TRAIN: "train", VAL: "val"})
    bad = raw / "videos" / f"{VAL}.mp4"
    bad.write_bytes(bad.read_bytes()[:-100])
    command.build(_config(raw, tmp_path / "out"))
    summary = json.loads((tmp_path / "out" / "build_summary.json").read_text())
    assert summary["unusable"] == [VAL]
    assert summary["recordings"] == {"train": 1, "val": 0, "test": 0}
    (problem,) = summary["problems"]
    assert str(bad) in problem
    assert "cut short" in problem
    assert str(bad) in (tmp_path / "out" / "dataset_card.md").read_text()


def test_no_usable_recording_is_an_error(tmp_path):
    raw = write_corpus(tmp_path / "raw", {TRAIN: "train"})
    (raw / "videos" / f"{TRAIN}.mp4").unlink()
    config = _config(raw, tmp_path / "out")
    with pytest.raises(UserError, match=r"no recording can be .* the video is missing"):
        command.build(config)
    assert not (tmp_path / "out" / "build_summary.json").exists()
    # The cause mended, the same command goes on.
    good = write_corpus(tmp_path / "good", {TRAIN: "train"})
    (good / "videos" / f"{TRAIN}.mp4").rename(raw / "videos" / f"{TRAIN}.mp4")
    command.build(config)
    assert len(RecordSource(tmp_path / "out", "text", "train")) == 6


def test_split_rule_where_the_corpus_gives_none(tmp_path):
    names = ["a", "b", "c", "d"]
    lines = {"c": [], "d": []}
    raw = write_corpus(tmp_path / "raw", dict.fromkeys(names), lines)
    command.build(_config(raw, tmp_path / "out", frames_fps=0.2))
    frames = RecordSource(tmp_path / "out", "frames", "train")
    assert {frames[i].meta["recording"] for i in range(len(frames))} == {"a", "b"}
    summary = json.loads((tmp_path / "out" / "build_summary.json").read_text())
    assert summary["recordings"] == {"train": 2, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ([], 78, "--config is missing"),
        (
            ["--config=configs/prep/nursery.py"],
            78,
            "config.raw is ''; it must not be empty",
        ),
        (
            ["--config=configs/prep/nursery.py", "--config.oud=x"],
            78,
            "config.oud is no key",
        ),
        (["--help"], 0, "python -m data_prep.build --config=configs/prep/nursery.py"),
    ],
)
def test_command_line(flags, code, message, capsys):
    with pytest.raises(SystemExit) as ended:
        run_config_command(
            command.__doc__, command.main, BuildConfig, False, ["build", *flags]
        )
    assert ended.value.code == code
    told = capsys.readouterr()
    assert message in (told.err if code else told.out)
    assert told.err.count("\n") == (code == 78)
