"""Raw corpus -> banks."""

import itertools
import json

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep import raw
from data_prep.devcv import ingest
from tests.data_prep.raw_fixture import TEST, TRAIN, VAL, grey, write_corpus

FRAMES = 12


@pytest.fixture
def corpus(tmp_path):
    root = write_corpus(tmp_path / "raw", num_frames=FRAMES)
    for name in (VAL, TEST):  # the fixture shows one ball everywhere
        _edit(root, name, lambda a, name=name: a.update(instance_id=f"ball_{name}"))
    return root


def _edit(root, name, change):
    path = root / "annotations" / f"{name}.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        change(annotation)
    path.write_text(json.dumps(content))


def _banks(root, scratch, max_frames=1000):
    jobs, problems = ingest.load_raw(str(root), max_frames, 0)
    scratch.mkdir(exist_ok=True)
    banks, faults = ingest.decode(jobs, scratch, itertools.starmap)
    return banks, problems + faults


def test_every_split_has_its_own_recording(corpus, tmp_path):
    banks, problems = _banks(corpus, tmp_path / "scratch")
    assert problems == []
    thing = banks["train"].frames[0].things[0]
    assert thing.instance == "ball_red_star_large" and thing.look == "ball_red_star"
    for split, name in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        frames = banks[split].frames
        assert {frame.recording for frame in frames} == {name}
        assert [frame.index for frame in frames] == list(range(FRAMES))
        # The video's compression moves a grey level a little.
        assert abs(int(frames[3].pixels()[30, 30, 0]) - grey(3)) <= 3


def test_an_instance_of_train_is_taken_out_of_test(corpus, tmp_path):
    _edit(corpus, TEST, lambda a: a.update(instance_id="ball_red_star_large"))
    banks, problems = _banks(corpus, tmp_path / "scratch")
    assert problems == ["test: instance ball_red_star_large is also in train"]
    assert not banks["test"].frames and len(banks["val"].frames) == FRAMES


def test_plain_annotation_ids_are_told_apart_by_recording(corpus, tmp_path):
    for name in (TRAIN, VAL, TEST):
        _edit(corpus, name, lambda a: a.pop("instance_id"))
    banks, problems = _banks(corpus, tmp_path / "scratch")
    assert problems == []
    assert banks["test"].frames[2].things[0].instance == f"{TEST}/0"


def test_faults_are_told_and_the_rest_is_used(corpus, tmp_path):
    (corpus / "videos" / f"{VAL}.mp4").unlink()
    (corpus / "annotations" / f"{TEST}.json").write_text("{")
    banks, problems = _banks(corpus, tmp_path / "scratch")
    assert len(problems) == 2 and len(banks["train"].frames) == FRAMES
    assert not banks["val"].frames and not banks["test"].frames


def test_a_frame_of_another_size_is_left_out(corpus, tmp_path):
    path = corpus / "annotations" / f"{TEST}.json"
    content = json.loads(path.read_text())
    content["images"][4]["width"] = 640
    path.write_text(json.dumps(content))
    banks, problems = _banks(corpus, tmp_path / "scratch")
    assert problems == [f"{TEST}: frame 4 is 32x32, its annotation says 640x32"]
    assert len(banks["test"].frames) == FRAMES - 1


def test_nothing_usable_is_a_user_error(corpus, tmp_path):
    for name in (TRAIN, VAL, TEST):
        (corpus / "videos" / f"{name}.mp4").write_bytes(b"")
    with pytest.raises(UserError, match="no annotated frame could be read"):
        _banks(corpus, tmp_path / "scratch")
    for name in (TRAIN, VAL, TEST):
        (corpus / "annotations" / f"{name}.json").unlink()
    with pytest.raises(UserError, match="no recording has usable annotations"):
        ingest.load_raw(str(corpus), 1000, 0)


def test_thin_keeps_whole_runs():
    frames = [raw.Frame(i, i / 5, 8, 8, ()) for i in range(320)]
    kept = [frame.frame_index for frame in ingest.thin(frames, 64, 0, "r")]
    assert len(kept) == 64 and kept == sorted(kept)
    starts = [i for i in kept if i % 32 == 0]
    assert kept == [i for start in starts for i in range(start, start + 32)]
    assert ingest.thin(frames, 320, 0, "r") == frames
