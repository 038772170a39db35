"""Reads a raw corpus: `corpus.json`, timed transcripts and COCO annotations.

Owns the files and their faults: what cannot be used is left out and described in a
line of `problems`, so that one bad line never ends a build. Videos are in
`data_prep.video`. A corpus without annotations, or with plain COCO (no colours, sizes,
instance ids), is as good as the nursery's.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyvlm_jax.errors import UserError
from data_prep.fields import read_json

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class Recording:
    """One video of one child's day; `split` is None where the corpus gives none."""

    recording: str
    child: str
    age_days: int
    split: str | None
    duration_s: float
    room: str | None


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A raw corpus on disk; `world` names the nursery's categories, colours, rooms."""

    root: Path
    name: str
    synthetic: bool
    seed: int | None
    recordings: tuple[Recording, ...]
    world: Mapping[str, Any]

    def video(self, recording: str) -> Path:
        return self.root / "videos" / f"{recording}.mp4"

    def transcript(self, recording: str) -> Path:
        return self.root / "transcripts" / f"{recording}.json"

    def annotations(self, recording: str) -> Path:
        return self.root / "annotations" / f"{recording}.json"


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One transcript line with usable times and words."""

    start_s: float
    end_s: float
    text: str
    confidence: float
    speaker: str | None


@dataclasses.dataclass(frozen=True)
class Box:
    """One object in a frame; `bbox` = (x, y, width, height) inside the frame."""

    annotation_id: int
    category: str
    bbox: tuple[float, float, float, float]
    instance_id: str
    colour: str | None
    size: str | None
    visible: float


@dataclasses.dataclass(frozen=True)
class Frame:
    """One annotated frame of a recording."""

    frame_index: int
    time_s: float
    width: int
    height: int
    boxes: tuple[Box, ...]


def read_corpus(root: str | Path) -> Corpus:
    """Reads `ROOT/corpus.json`, which a corpus writer puts there last.

    Raises:
        UserError: the file is missing or damaged, a recording lacks a field, has an
            unknown split or occurs twice.
    """
    root = Path(root)
    path = root / "corpus.json"
    if not path.exists():
        raise UserError(
            f"no raw corpus in {root}: {path} is missing; give the folder that "
            "`python -m data_prep.nursery --out=DIR` has finished writing"
        )
    raw = read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("recordings"), list):
        raise UserError(f"{path}: expected an object with a list 'recordings'")
    recordings = tuple(_recording(path, item) for item in raw["recordings"])
    names = [recording.recording for recording in recordings]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path}: recordings listed twice: {', '.join(twice[:5])}")
    return Corpus(
        root=root,
        name=str(raw.get("name", root.name)),
        synthetic=bool(raw.get("synthetic", False)),
        seed=raw.get("seed"),
        recordings=recordings,
        world=raw.get("world", {}),
    )


def _recording(path: Path, item: Mapping[str, Any]) -> Recording:
    try:
        recording = Recording(
            recording=str(item["recording"]),
            child=str(item["child"]),
            age_days=int(item["age_days"]),
            split=item.get("split"),
            duration_s=float(item["duration_s"]),
            room=item.get("room"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: recording {item!r:.80} lacks or has a bad field ({error}); "
            "expected recording, child, age_days, duration_s"
        ) from None
    if not recording.recording or "/" in recording.recording:
        raise UserError(
            f"{path}: {recording.recording!r} is no name for a recording; it names "
            "files, so it must not be empty or hold a '/'"
        )
    if recording.split not in (None, *SPLITS):
        raise UserError(
            f"{path}: recording {recording.recording!r} has split "
            f"{recording.split!r}; expected one of {SPLITS} or none"
        )
    return recording


def read_transcript(path: Path) -> tuple[list[Utterance], list[str]]:
    """Reads the usable lines of a transcript, in order of their start.

    Returns:
        The utterances (white space in the text squeezed), and one line of text for
        each one left out: empty, a bad field, or an end that is not after its start.

    Raises:
        UserError: the file is missing, not JSON, or not a list.
    """
    raw = read_json(path)
    if not isinstance(raw, list):
        raise UserError(f"{path}: expected a list of utterances")
    utterances, problems = [], []
    for number, line in enumerate(raw):
        found = _utterance(line)
        if isinstance(found, str):
            problems.append(f"line {number}: {found}")
        else:
            utterances.append(found)
    return sorted(utterances, key=lambda u: (u.start_s, u.end_s, u.text)), problems


def _utterance(line: Any) -> Utterance | str:
    try:
        utterance = Utterance(
            start_s=float(line["start_s"]),
            end_s=float(line["end_s"]),
            text=" ".join(line["text"].split()),
            confidence=float(line["confidence"]),
            speaker=line.get("speaker"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"bad or missing field ({type(error).__name__}: {error})"
    times = (utterance.start_s, utterance.end_s, utterance.confidence)
    if not all(map(math.isfinite, times)) or utterance.start_s < 0:
        return f"start, end or confidence is not a usable number {times}"
    if utterance.end_s <= utterance.start_s:
        return f"end {utterance.end_s} s is not after start {utterance.start_s} s"
    return utterance if utterance.text else "no words"


def read_annotations(path: Path) -> tuple[list[Frame], list[str]]:
    """Reads COCO annotations, frame by frame in time order.

    Boxes are clipped to their frame. Fields that plain COCO lacks fall back:
    `instance_id` to the annotation's id, `visible` to 1, `colour` and `size` to None.

    Returns:
        The frames (also those without a box), and one line of text for each box left
        out: outside its frame, an unknown image or category, or a bad field.

    Raises:
        UserError: the file is missing, not JSON, or its images or categories are bad.
    """
    raw = read_json(path)
    try:
        names = {item["id"]: str(item["name"]) for item in raw["categories"]}
        frames = {
            item["id"]: Frame(
                frame_index=int(item["frame_index"]),
                time_s=float(item["time_s"]),
                width=int(item["width"]),
                height=int(item["height"]),
                boxes=(),
            )
            for item in raw["images"]
        }
        annotations = list(raw["annotations"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not COCO as expected ({type(error).__name__}: {error})"
        ) from None
    boxes = {image_id: [] for image_id in frames}
    problems = []
    for number, item in enumerate(annotations):
        try:
            image_id = item["image_id"]
            boxes[image_id].append(parse_box(item, names, frames[image_id]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problems.append(f"annotation {number}: {type(error).__name__}: {error}")
    whole = [
        dataclasses.replace(frame, boxes=tuple(boxes[image_id]))
        for image_id, frame in frames.items()
    ]
    return sorted(whole, key=lambda frame: frame.frame_index), problems


def parse_box(item: Mapping[str, Any], names: Mapping[int, str], frame: Frame) -> Box:
    """Reads one COCO annotation; its box is clipped to the frame.

    Raises:
        ValueError: the box lies outside the frame.
        KeyError: a field or a category is missing.
    """
    x, y, width, height = map(float, item["bbox"])
    left, right = (min(max(v, 0.0), frame.width) for v in (x, x + width))
    top, bottom = (min(max(v, 0.0), frame.height) for v in (y, y + height))
    if not (right > left and bottom > top):
        raise ValueError(f"box {item['bbox']} lies outside its frame")
    return Box(
        annotation_id=int(item["id"]),
        category=names[item["category_id"]],
        bbox=(left, top, right - left, bottom - top),
        instance_id=str(item.get("instance_id", item["id"])),
        colour=item.get("colour"),
        size=item.get("size"),
        visible=float(item.get("visible", 1.0)),
    )
