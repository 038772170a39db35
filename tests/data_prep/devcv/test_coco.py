"""Plain COCO with a folder of frames, whole and faulty."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv.source import BoxRules, files_of, load_coco, name_parts, split_of
from tests.data_prep import hostile


def _write(tmp_path, annotations, images=None, categories=None):
    for index in range(2):
        pixels = np.full((20, 30, 3), 100 + index, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"clip_{index:03d}.png")
    if images is None:
        images = [
            {"id": i, "file_name": f"clip_{i:03d}.png", "width": 30, "height": 20}
            for i in range(2)
        ]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": categories or [{"id": 1, "name": "cup"}],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    return str(path)


def _annotation(**changes):
    box = {"id": 5, "image_id": 0, "category_id": 1, "bbox": [1, 2, 8, 9]}
    return {**box, **changes}


def test_names_give_recordings_and_indices():
    assert name_parts("clip_000012.jpg") == ("clip", 12)
    assert name_parts("a/b-7.png") == ("a/b", 7)
    assert name_parts("cup.png") == ("cup", 0)


def test_splits_are_three_to_one_to_one_and_depend_on_the_seed():
    names = [f"r{k}" for k in range(500)]
    splits = [split_of(name, 0) for name in names]
    shares = [splits.count(s) / 500 for s in ("train", "val", "test")]
    assert np.abs(np.array(shares) - (0.6, 0.2, 0.2)).max() < 0.06
    assert splits != [split_of(name, 1) for name in names]


def test_frames_boxes_and_pixels(tmp_path):
    crowd = _annotation(id=6, image_id=1, iscrowd=1)
    path = _write(tmp_path, [_annotation(bbox=[25, 15, 50, 50]), crowd])
    (job,), problems = load_coco(path, str(tmp_path), 100, 0)
    assert problems == [] and job.recording == "clip"
    first, second = job.frames
    assert first.boxes[0].bbox == (25, 15, 5, 5)  # clipped to 30x20
    assert first.boxes[0].instance_id == "clip/5"
    assert first.boxes[0].visible == 0.5  # cut by the border, never seen whole
    assert second.boxes[0].visible == 0  # nobody can count a crowd
    read = list(job.read([1, 0], []))
    assert [(index, pixels[0, 0, 0]) for index, pixels in read] == [(0, 100), (1, 101)]


@pytest.mark.parametrize(
    "bad",
    [
        {"bbox": [40, 2, 8, 9]},  # outside the frame
        {"bbox": [1, 2, 0, 9]},
        {"bbox": "none"},
        {"category_id": 9},
        {"image_id": 9},
    ],
)
def test_a_bad_annotation_is_left_out_and_told(tmp_path, bad):
    path = _write(tmp_path, [_annotation(), _annotation(id=6, **bad)])
    (job,), problems = load_coco(path, str(tmp_path), 100, 0)
    assert len(problems) == 1 and problems[0].startswith("annotation 1:")
    assert len(job.frames[0].boxes) == 1


def test_a_missing_or_damaged_picture_is_skipped(tmp_path):
    path = _write(tmp_path, [_annotation()])
    (tmp_path / "clip_000.png").unlink()
    (tmp_path / "clip_001.png").write_bytes(b"no picture")
    (job,), _ = load_coco(path, str(tmp_path), 100, 0)
    skipped = []
    assert list(job.read([0, 1], skipped)) == [] and skipped == [0, 1]


def test_no_picture_beside_the_folder_is_read(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    path = _write(frames, [_annotation()])
    content = json.loads((frames / "coco.json").read_text())
    (frames / "link.png").symlink_to(tmp_path / "outside.png")
    names = ("../outside.png", "/etc/passwd", "link.png", "a\0b.png", 5, "")
    content["images"] += [
        {"id": 10 + k, "file_name": name, "width": 30, "height": 20}
        for k, name in enumerate(names)
    ]
    (frames / "coco.json").write_text(json.dumps(content))
    (job,), problems = load_coco(path, str(frames), 100, 0)
    assert len(job.frames) == 2
    assert [problem.partition(":")[0] for problem in problems] == [
        f"image {number}" for number in range(2, 8)
    ]
    assert all("out of the image folder" in problem for problem in problems[:3])


def test_a_decompression_bomb_is_skipped(tmp_path):
    """A file of a few kilobytes may hold a picture of gigabytes."""
    path = _write(tmp_path, [_annotation()])
    Image.new("1", (9000, 9000)).save(tmp_path / "clip_000.png")
    (job,), _ = load_coco(path, str(tmp_path), 100, 0)
    skipped = []
    assert [index for index, _ in job.read([0, 1], skipped)] == [1]
    assert skipped == [0]


def test_ids_may_be_text_and_numbers(tmp_path):
    path = _write(tmp_path, [_annotation(category_id="1", image_id="0")])
    (job,), problems = load_coco(path, str(tmp_path), 100, 0)
    assert not problems and job.frames[0].boxes[0].category == "cup"


@pytest.mark.integration
def test_no_fault_of_a_file_is_a_traceback(tmp_path):
    """One value at a time is replaced; all that is read can be tracked and stored."""
    path = _write(tmp_path, [_annotation(track_id=3, score=0.5, iscrowd=0)])
    sound = json.loads((tmp_path / "coco.json").read_text())
    rules = BoxRules(min_score=0.1, min_side=1)
    outcomes = set()
    for data in hostile.mutations(sound):
        (tmp_path / "coco.json").write_bytes(data)
        try:
            jobs, problems = load_coco(path, str(tmp_path), 100, 0, rules)
            files = files_of(path, str(tmp_path), rules)
        except UserError as error:
            assert "coco.json" in str(error)
            str(error).encode()
            outcomes.add("refused")
        else:
            json.dumps([dataclasses.asdict(f) for job in jobs for f in job.frames])
            str([sorted(files), problems]).encode()
            assert all(len(job.frames) for job in jobs)
            outcomes.add("read")
    assert outcomes == {"read", "refused"}


def test_unusable_input_is_a_user_error(tmp_path):
    path = _write(tmp_path, [], images=[{"id": 0, "file_name": "x.png"}])
    with pytest.raises(UserError, match=r"no usable image, .*: width is missing"):
        load_coco(path, str(tmp_path), 100, 0)
    with pytest.raises(UserError, match="no such folder"):
        load_coco(path, str(tmp_path / "nowhere"), 100, 0)
    (tmp_path / "coco.json").write_text('{"images": []}')
    with pytest.raises(UserError, match="not COCO"):
        load_coco(path, str(tmp_path), 100, 0)
    with pytest.raises(UserError, match=r"none\.json"):
        load_coco(str(tmp_path / "none.json"), str(tmp_path), 100, 0)


def _write_moving(tmp_path, **fields):
    """A cup that leaves through the left side, seven frames of one video."""
    images, annotations = [], []
    for index, left in enumerate((60, 52, 40, 25, 8, 0, None)):
        Image.fromarray(np.full((100, 100, 3), 90, np.uint8)).save(
            tmp_path / f"frame{index}.png"
        )
        size = {"width": 100, "height": 100, "video_id": 4, "frame_id": 6 * index}
        images.append({"id": index, "file_name": f"frame{index}.png", **size})
        if left is not None:
            box = [left, 40, 20 if left else 8, 20]
            annotations.append({"id": index, "image_id": index, "bbox": box, **fields})
    for item in annotations:
        item["category_id"] = 1
    return _write(tmp_path, annotations, images=images)


def test_things_without_ids_are_tracked(tmp_path):
    (job,), _ = load_coco(_write_moving(tmp_path), str(tmp_path), 100, 0)
    boxes = [box for frame in job.frames for box in frame.boxes]
    assert job.recording == "4" and [f.frame_index for f in job.frames][:2] == [0, 6]
    assert {box.instance_id for box in boxes} == {"4/0"}
    assert [box.visible for box in boxes] == [1, 1, 1, 1, 1, pytest.approx(0.4)]


def test_ids_that_are_there_are_taken(tmp_path):
    path = _write_moving(tmp_path, track_id=7)
    (job,), _ = load_coco(path, str(tmp_path), 100, 0)
    assert job.frames[2].boxes[0].instance_id == "4/track_7"
    alone = BoxRules(link_iou=0)
    (job,), _ = load_coco(_write_moving(tmp_path), str(tmp_path), 100, 0, alone)
    assert [frame.boxes[0].instance_id for frame in job.frames[:2]] == ["0", "1"]


def test_detections_are_filtered_by_score_and_side(tmp_path):
    path = _write(tmp_path, [_annotation()])
    found = [
        {"image_id": 0, "category_id": 1, "bbox": [2, 2, 9, 9], "score": 0.9},
        {"image_id": 0, "category_id": 1, "bbox": [2, 2, 9, 9], "score": 0.2},
        {"image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 3], "score": 0.9},
        "no box",
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    rules = BoxRules(str(tmp_path / "found.json"), min_score=0.5, min_side=4)
    (job,), problems = load_coco(path, str(tmp_path), 100, 0, rules)
    assert [len(frame.boxes) for frame in job.frames] == [2, 0]
    assert [box.annotation_id for box in job.frames[0].boxes] == [5, 6]
    assert problems[:2] == [
        "1 boxes scored below 0.5",
        "1 boxes with a side below 4 pixels",
    ]
    assert problems[2].startswith("annotation 4:") and len(problems) == 3
    (tmp_path / "found.json").write_text("{}")
    with pytest.raises(UserError, match="expected a list of boxes"):
        load_coco(path, str(tmp_path), 100, 0, rules)
