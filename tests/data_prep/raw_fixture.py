"""A tiny raw corpus for tests: three recordings, real mp4 files, boxes, transcripts.

The picture at time t is a grey room with a red square that moves right; frame k has
the grey level `grey(k)`, so that a test can tell frames apart.
"""

import json
from pathlib import Path

import av
import numpy as np

CODEC = {"crf": "10", "g": "10", "sc_threshold": "0"}  # a key frame every ten
FPS = 5
SIDE = 32
TRAIN, VAL, TEST = "S_20300101_0700_01", "A_20300102_0800_01", "Y_20300103_0900_01"


def grey(index: int) -> int:
    """Grey level of the background of frame `index`."""
    return 40 + 4 * index % 160


def write_video(path: Path, num_frames: int, fps: int = FPS, side: int = SIDE) -> None:
    """Writes an mp4 whose index comes first, so that cutting its end is a cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options=CODEC)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for index in range(num_frames):
            image = np.full((side, side, 3), grey(index), np.uint8)
            image[8:16, index % 16 : index % 16 + 8] = (220, 30, 30)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def damage_frame(path: Path, number: int) -> None:
    """Overwrites the data of the packet shown as frame `number` with zeros."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.size and packet.pts * packet.time_base * FPS == number:
                start, stop = packet.pos + 5, packet.pos + packet.size
    data = bytearray(path.read_bytes())
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)


def line(start_s: float, end_s: float, text: str, confidence: float = 0.9) -> dict:
    """One transcript line."""
    return {
        "start_s": start_s,
        "end_s": end_s,
        "text": text,
        "confidence": confidence,
        "speaker": "mother",
    }


def default_lines() -> list[dict]:
    """Six usable lines over 20 seconds."""
    return [
        line(1.2, 2.4, "look at the red ball"),
        line(4.0, 5.5, "where is it going"),
        line(7.0, 8.0, "the ball is red"),
        line(10.0, 11.0, "can you see it"),
        line(13.0, 14.2, "it is a ball"),
        line(16.0, 17.5, "yes a red ball"),
    ]


def coco(recording: str, num_frames: int) -> dict:
    """The moving square as a ball in every frame."""
    images = [
        {
            "id": index,
            "file_name": f"{recording}_{index:06d}.jpg",
            "width": SIDE,
            "height": SIDE,
            "frame_index": index,
            "time_s": index / FPS,
        }
        for index in range(num_frames)
    ]
    annotations = [
        {
            "id": index,
            "image_id": index,
            "category_id": 1,
            "bbox": [index % 16, 8, 8, 8],
            "area": 64,
            "iscrowd": 0,
            "instance_id": "ball_red_star_large",
            "colour": "red",
            "size": "large",
            "visible": 1.0,
        }
        for index in range(num_frames)
    ]
    return {
        "info": {"description": "test"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "ball"}],
    }


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_corpus(
    root: Path,
    recordings: dict[str, str | None] | None = None,
    lines: dict[str, list] | None = None,
    num_frames: int = 100,
) -> Path:
    """Writes a whole raw corpus.

    Args:
        root: folder to write.
        recordings: name -> split (None: the corpus gives none); one of each split
            by default.
        lines: name -> transcript, `default_lines()` where not given.
        num_frames: length of every video.
    """
    if recordings is None:
        recordings = {TRAIN: "train", VAL: "val", TEST: "test"}
    lines = lines or {}
    entries = []
    for age, (name, split) in enumerate(recordings.items(), start=210):
        write_video(root / "videos" / f"{name}.mp4", num_frames)
        transcript = lines.get(name, default_lines())
        write_json(root / "transcripts" / f"{name}.json", transcript)
        write_json(root / "annotations" / f"{name}.json", coco(name, num_frames))
        entries.append(
            {
                "recording": name,
                "child": name[0],
                "age_days": age,
                "duration_s": num_frames / FPS,
                "room": "kitchen",
                **({"split": split} if split else {}),
            }
        )
    corpus = {
        "name": "tiny",
        "synthetic": True,
        "seed": 0,
        "fps": FPS,
        "resolution": [SIDE, SIDE],
        "recordings": entries,
        "world": {"categories": ["ball"], "colours": ["red"]},
    }
    write_json(root / "corpus.json", corpus)
    return root
