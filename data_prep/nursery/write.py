"""Makes one recording and writes its files: video, transcript, annotations.

The folder is that of a stage: its report, not these files, says that they are whole.
"""

import json
import zlib
from pathlib import Path

import av
import numpy as np

from data_prep.nursery import rooms
from data_prep.nursery.camera import Camera
from data_prep.nursery.language import Caregiver, make_transcript
from data_prep.nursery.layout import make_scene
from data_prep.nursery.render import MIN_VISIBLE, Stage
from data_prep.nursery.settings import FPS, Recording, Settings

_CRF = "18"  # x264 quality: no visible loss
_GOP = 10  # frames from key frame to key frame: 2 s
_IN_VIEW = 0.8  # visible share from which a thing is spoken of
_FLICKER = 0.02


# kind of file -> its folder
FOLDERS = {
    "video": "videos",
    "transcript": "transcripts",
    "annotations": "annotations",
}


def paths(out: Path, recording: str) -> dict[str, Path]:
    """The three files of a recording."""
    return {
        kind: out / folder / f"{recording}.{'mp4' if kind == 'video' else 'json'}"
        for kind, folder in FOLDERS.items()
    }


def write_json(path: Path, value) -> None:
    """Writes JSON without blanks."""
    path.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")


def write_video(path: Path, frames, resolution: tuple[int, int]) -> None:
    """Encodes frames u8[H, W, 3] as H.264 with full colour resolution."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = resolution
        stream.pix_fmt = "yuv444p"
        stream.options = {
            "crf": _CRF,
            "preset": "ultrafast",
            "g": str(_GOP),
            "threads": "1",  # the same bytes on every machine
        }
        for frame in frames:
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def _annotations(recording, scene, boxes, visible, world, resolution) -> dict:
    """COCO annotations of all frames, with colour, size, instance_id and visible."""
    width, height = resolution
    ids = {name: number for number, name in enumerate(world.categories, 1)}
    images, annotations = [], []
    for frame in range(len(boxes)):
        images.append(
            {
                "id": frame + 1,
                "file_name": f"{recording.recording}_{frame:06d}.jpg",
                "width": width,
                "height": height,
                "frame_index": frame,
                "time_s": frame / FPS,
            }
        )
        for index, placed in enumerate(scene.placed):
            share = float(visible[frame, index])
            left, top, right, bottom = boxes[frame, index].tolist()
            if share < MIN_VISIBLE or left == right or top == bottom:
                continue
            thing = placed.thing
            annotation = {
                "id": len(annotations) + 1,
                "image_id": frame + 1,
                "category_id": ids[thing.category],
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                "instance_id": thing.instance_id,
                "size": thing.size,
                "visible": round(share, 3),
            }
            if thing.colour is not None:
                annotation["colour"] = thing.colour
            annotations.append(annotation)
    return {
        "info": {"description": "nursery, a synthetic world", "synthetic": True},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in ids.items()],
    }


def write_recording(out: Path, settings: Settings, world, recording: Recording) -> None:
    """Makes a recording and writes its three files.

    Args:
        out: folder of the corpus.
        settings: of the corpus.
        world: the things there are.
        recording: which one.
    """
    rng = np.random.default_rng(
        [settings.seed, zlib.crc32(recording.recording.encode())]
    )
    width, height = resolution = settings.resolution
    room = next(room for room in rooms.ROOMS if room.name == recording.room)
    scene = make_scene(world, recording.split, rng)
    camera = Camera(scene, recording.duration_s, width / height, recording.index, rng)
    stage = Stage(world, scene, room, resolution, rng)
    times = np.arange(round(recording.duration_s * FPS)) / FPS
    poses = camera.poses(times)
    boxes, visible = stage.boxes(poses)

    def in_view(time_s: float) -> list:
        frame = min(round(time_s * FPS), len(times) - 1)
        return [
            p for p, v in zip(scene.placed, visible[frame], strict=True) if v > _IN_VIEW
        ]

    caregiver = Caregiver(world, recording.room, recording.age_days, rng)
    transcript = make_transcript(camera, caregiver, in_view, recording.duration_s, rng)
    gains = 1 + rng.normal(0, _FLICKER, len(times))
    files = paths(out, recording.recording)
    frames = (stage.frame(pose, gain) for pose, gain in zip(poses, gains, strict=True))
    write_video(files["video"], frames, resolution)
    write_json(files["transcript"], transcript)
    facts = _annotations(recording, scene, boxes, visible, world, resolution)
    write_json(files["annotations"], facts)
