"""Plain COCO annotations with a folder of frames, as Ego4D-like sets come.

The recording of a picture and its place in time are read off its name: the digits
after the last `_`, `-` or `.` of the stem are the frame index, what is before them the
recording. A name without digits is a recording of its own. Splits go by recording,
3:1:1 as in BabyVLM-V2, by a seeded hash.
"""

import collections
import dataclasses
import re
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from babyvlm_jax.errors import UserError
from data_prep import raw
from data_prep.devcv.ingest import Job, thin

_STEM = re.compile(r"^(?P<recording>.*?)[_.-]?(?P<index>\d+)$")
SHARES = (3, 1, 1)  # BabyVLM-V2 section 1.3: about 3:1:1


@dataclasses.dataclass(frozen=True)
class FolderReader:
    """Reads pictures of one recording from files."""

    paths: dict[int, Path]

    def __call__(self, indices, skipped):
        for index in sorted(indices):
            try:
                with Image.open(self.paths[index]) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
            except (OSError, SyntaxError):
                skipped.append(index)
                continue
            yield index, pixels


def load_coco(
    path: str, folder: str, max_frames: int, seed: int
) -> tuple[list[Job], list[str]]:
    """Lists the recordings of a COCO file.

    Args:
        path: the COCO file (images, annotations, categories).
        folder: where its `file_name`s lie.
        max_frames: frames per split to keep at most.
        seed: which of them, and which recording goes to which split.

    Returns:
        The jobs, and a line for everything left out.

    Raises:
        UserError: not COCO, no folder, or no picture with a usable entry.
    """
    content = raw.read_json(Path(path))
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; give --frames=DIR of the pictures")
    try:
        names = {item["id"]: str(item["name"]) for item in content["categories"]}
        images, annotations = list(content["images"]), list(content["annotations"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not COCO as expected ({type(error).__name__}: {error})"
        ) from None
    problems = []
    frames, places = _frames(images, Path(folder), problems)
    _add_boxes(frames, places, annotations, names, problems)
    if not frames:
        raise UserError(f"{path}: no usable image among {len(images)}")
    jobs = []
    for recording, by_index in sorted(frames.items()):
        split = split_of(recording, seed)
        budget = -(-max_frames // len(frames))
        ordered = [by_index[index][0] for index in sorted(by_index)]
        reader = FolderReader({i: path for i, (_, path) in by_index.items()})
        kept = thin(ordered, budget, seed, recording)
        jobs.append(Job(recording, split, tuple(kept), reader))
    return jobs, problems


def name_parts(file_name: str) -> tuple[str, int]:
    """(recording, frame index) of a picture.

    name_parts("a/clip_000012.jpg") -> ("a/clip", 12); name_parts("cup.png") ->
    ("cup", 0)
    """
    stem = str(Path(file_name).with_suffix(""))
    match = _STEM.match(stem)
    if match is None:
        return stem, 0
    return match["recording"], int(match["index"])


def split_of(recording: str, seed: int) -> str:
    """Split of a recording: a function of its name and the seed."""
    place = zlib.crc32(f"{seed}/{recording}".encode()) % sum(SHARES)
    ends = np.cumsum(SHARES)
    return raw.SPLITS[int(np.searchsorted(ends, place, side="right"))]


def _frames(images, folder, problems):
    """recording -> index -> (frame, path), and image id -> (recording, index)."""
    frames, places = collections.defaultdict(dict), {}
    for number, item in enumerate(images):
        try:
            recording, index = name_parts(item["file_name"])
            frame = raw.Frame(index, 0.0, int(item["width"]), int(item["height"]), ())
            places[item["id"]] = (recording, index)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"image {number}: {type(error).__name__}: {error}")
            continue
        frames[recording][index] = (frame, folder / item["file_name"])
    return frames, places


def _add_boxes(frames, places, annotations, names, problems):
    """Puts every usable annotation into its frame."""
    for number, item in enumerate(annotations):
        try:
            recording, index = places[item["image_id"]]
            frame, path = frames[recording][index]
            box = _box(item, names, frame)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"annotation {number}: {type(error).__name__}: {error}")
            continue
        frame = dataclasses.replace(frame, boxes=(*frame.boxes, box))
        frames[recording][index] = (frame, path)


def _box(item, names, frame) -> raw.Box:
    """One annotation, clipped to its frame.

    A crowd (many things under one box) counts as hidden: nobody can count it.
    """
    box = raw.parse_box(item, names, frame)
    return dataclasses.replace(box, visible=0.0) if item.get("iscrowd") else box
