import dataclasses

import numpy as np
import pytest

from babyvlm_jax.data.images import preprocess
from babyvlm_jax.runtime.fields import from_dict
from configs.prep import nursery
from data_prep.raw import read_corpus
from data_prep.stages import recording as stage
from data_prep.stages import scoring
from data_prep.stages.config import BuildConfig
from tests.data_prep.raw_fixture import (
    SIDE,
    TRAIN,
    damage_frame,
    default_lines,
    line,
    write_corpus,
)

CONFIG = from_dict(
    BuildConfig, {**nursery.get_config().to_dict(), "raw": "in", "out": "there"}
)


def _prepare(raw, split="train", config=CONFIG):
    corpus = read_corpus(raw)
    return stage.prepare(corpus, corpus.recordings[0], split, config)


def _write(tmp_path, lines=None, num_frames=100):
    lines = {TRAIN: lines} if lines else None
    return write_corpus(tmp_path, {TRAIN: "train"}, lines, num_frames)


def test_whole_recording(tmp_path):
    records, report = _prepare(_write(tmp_path))
    # Padded clips of 3.2, 3.5, 3, 3, 3.2 and 3.5 s at 1 fps; 20 s of frames.
    counts = {
        "text": 6,
        "frames": 20,
        "image_utterance": 4 + 4 + 3 + 3 + 4 + 4,
        "video_utterance": 6,
        "interleaved": len(records["interleaved"]),
    }
    assert {name: len(items) for name, items in records.items()} == counts
    assert report.records == counts
    assert report.video_s == 20.0
    assert report.clip_s == pytest.approx(19.4)
    assert (report.dropped, report.problems, report.usable) == ({}, [], True)
    assert all(len(record.images) == 4 for record in records["video_utterance"])
    assert records["interleaved"][0].turns[1] == ("assistant", "look at the red ball")


def test_picture_is_of_its_moment(tmp_path):
    records, _ = _prepare(_write(tmp_path))
    by_id = {record.id: record for record in records["image_utterance"]}
    frames = [record.images for record in records["frames"]]
    # Utterance at 7 s, padded from 6 s: frame 2 is the picture at 7 s.
    assert by_id[f"{TRAIN}_7000_8000_frame_2"].images == frames[7]
    # Middle of the pictures at 6, 7, 8 s.
    best = records["interleaved"][0].images[2]
    assert best == frames[7][0]


def test_test_recordings_give_no_frames(tmp_path):
    records, _ = _prepare(_write(tmp_path), split="test")
    assert records["frames"] == []
    assert len(records["text"]) == 6
    assert records["text"][0].meta["split"] == "test"


def test_faults_are_listed_and_the_rest_is_kept(tmp_path):
    lines = [
        *default_lines(),
        line(8.0, 7.0, "backwards"),
        line(9.0, 9.5, ""),
        line(5.0, 6.0, "at the same time"),
        line(18.0, 18.2, "oh"),
        line(18.0, 19.0, "mumble", confidence=0.1),
    ]
    raw = _write(tmp_path, lines)
    records, report = _prepare(raw)
    assert len(records["text"]) == 7
    assert report.dropped == {"bad_line": 2, "short": 1, "unsure": 1}
    assert report.overlapping == 1
    where = raw / "transcripts" / f"{TRAIN}.json"
    assert report.problems == [
        f"{where}: line 6: end 7.0 s is not after start 8.0 s",
        f"{where}: line 7: no words",
        f"{where}: 5000_6000: overlaps 4000_5500; both kept",
    ]


def test_undecodable_frames_cost_their_clips_only(tmp_path):
    raw = _write(tmp_path)
    video = raw / "videos" / f"{TRAIN}.mp4"
    damage_frame(video, 33)  # frames 30 to 40 are 6 to 8 s: the third clip
    records, report = _prepare(raw)
    ids = [record.id for record in records["video_utterance"]]
    assert f"{TRAIN}_7000_8000" not in ids
    assert f"{TRAIN}_1200_2400" in ids
    assert f"{TRAIN}_16000_17500" in ids
    assert len(records["text"]) == 6
    assert report.usable
    assert report.dropped["damaged_clip"] == 6 - len(ids)
    assert report.dropped["undecodable_frame"] >= 1
    (problem,) = report.problems
    assert problem.startswith(f"{video}: frames not decodable: 3")


@pytest.mark.parametrize("fault", ["video missing", "video cut", "json", "no json"])
def test_unusable_recording_says_why(tmp_path, fault):
    raw = _write(tmp_path)
    video = raw / "videos" / f"{TRAIN}.mp4"
    transcript = raw / "transcripts" / f"{TRAIN}.json"
    if fault == "video missing":
        video.unlink()
    elif fault == "video cut":
        video.write_bytes(video.read_bytes()[:-200])
    elif fault == "json":
        transcript.write_text("[{")
    else:
        transcript.unlink()
    records, report = _prepare(raw)
    assert not report.usable
    assert all(items == [] for items in records.values())
    (problem,) = report.problems
    assert str(video if "video" in fault else transcript) in problem


def test_scorer_filters_clips_and_frames_and_picks_the_best(tmp_path, monkeypatch):
    def make_scorer():
        # Grey levels rise with time from 40 at 0 s to 196 at 7.8 s, then start again.
        return lambda files, texts: np.asarray(
            [preprocess(file, SIDE)[-1, -1, 0] / 255 for file in files], np.float32
        )

    monkeypatch.setitem(scoring.SCORERS, "bright", make_scorer)
    config = dataclasses.replace(
        CONFIG, scorer="bright", image_threshold=0.45, video_threshold=0.3
    )
    lines = [line(start, start + 1.0, f"word {start}") for start in (1, 3, 4, 5, 6)]
    records, report = _prepare(_write(tmp_path, lines), config=config)
    spoken = [record.turns[1][1] for record in records["video_utterance"]]
    # Mean levels in the clips around 1.5, 3.5, 4.5, 5.5 s: 0.27, 0.43, 0.51, 0.59.
    assert spoken == ["word 3", "word 4", "word 5", "word 6"]
    assert report.dropped["unlike_clip"] == 1
    # Levels at 2, 3, 4 s: 0.31, 0.39, 0.47.
    first = [r.id for r in records["image_utterance"] if "_3000_4000" in r.id]
    assert first == [f"{TRAIN}_3000_4000_frame_3"]
    # And at 3 s in the clip after it; the dropped clip's frames are not counted.
    assert report.dropped["unlike_frame"] == 2 + 1
    by_id = {record.id: record for record in records["image_utterance"]}
    (window,) = records["interleaved"]
    assert window.images[0] == by_id[f"{TRAIN}_3000_4000_frame_3"].images[0]
    assert len(records["text"]) == 5
