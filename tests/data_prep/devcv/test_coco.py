"""Plain COCO with a folder of frames, whole and faulty."""

import json

import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.errors import UserError
from data_prep.devcv.coco import load_coco, name_parts, split_of


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
    assert first.boxes[0].instance_id == "5" and first.boxes[0].visible == 1
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


def test_unusable_input_is_a_user_error(tmp_path):
    path = _write(tmp_path, [], images=[{"id": 0, "file_name": "x.png"}])
    with pytest.raises(UserError, match="no usable image among 1"):
        load_coco(path, str(tmp_path), 100, 0)
    with pytest.raises(UserError, match="no such folder"):
        load_coco(path, str(tmp_path / "nowhere"), 100, 0)
    (tmp_path / "coco.json").write_text('{"images": []}')
    with pytest.raises(UserError, match="not COCO"):
        load_coco(path, str(tmp_path), 100, 0)
    with pytest.raises(UserError, match=r"none\.json"):
        load_coco(str(tmp_path / "none.json"), str(tmp_path), 100, 0)
