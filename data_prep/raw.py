"""Reads a raw corpus: `corpus.json`, timed transcripts and COCO annotations.

Owns the files and their faults: what cannot be used is left out and described in a
line of `problems`, so that one bad line never ends a build; only `corpus.json` must be
right throughout. Fields are read by `json_fields`, videos by `data_prep.video`.
A corpus without annotations, or with plain COCO (no colours, sizes, instance ids), is
as good as the nursery's.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyvlm_jax.runtime import json_fields as fields
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.json_fields import BadField, read_json

SPLITS = ("train", "val", "test")
MAX_DAYS = 100_000
MAX_SECONDS = 1e9
MAX_SIDE = 65_535  # pixels, the most that a JPEG can have
MIN_SIDE = 0.01  # pixels of a box
MAX_FRAME = 10**9


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
    """A raw corpus on disk."""

    root: Path
    name: str
    synthetic: bool
    seed: int | None
    recordings: tuple[Recording, ...]

    def video(self, recording: str) -> Path:
        return self.root / "videos" / f"{recording}.mp4"

    def transcript(self, recording: str) -> Path:
        return self.root / "transcripts" / f"{recording}.json"

    def annotations(self, recording: str) -> Path:
        return self.root / "annotations" / f"{recording}.json"


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One transcript line with usable times and words.

    `confidence` is None where the transcript has none, as those written by hand.
    """

    start_s: float
    end_s: float
    text: str
    confidence: float | None
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
    try:
        recordings = tuple(map(_recording, raw["recordings"]))
        names = [recording.recording for recording in recordings]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise BadField(f"recordings listed twice: {', '.join(twice[:5])}")
        corpus = Corpus(
            root=root,
            name=fields.text(raw, "name", root.name, most=fields.MAX_NAME_BYTES),
            synthetic=fields.flag(raw, "synthetic", False),
            seed=fields.whole(raw, "seed", None),
            recordings=recordings,
        )
    except BadField as error:
        raise UserError(f"{path}: {error}") from None
    if not recordings:
        raise UserError(f"{path}: 'recordings' is empty; list at least one")
    return corpus


def _recording(item: Any) -> Recording:
    name = fields.file_name(item, "recording")
    try:
        split = fields.text(item, "split", None)
        if split not in (None, *SPLITS):
            raise BadField(f"split is {split!r}: expected one of {SPLITS} or none")
        return Recording(
            recording=name,
            child=fields.identifier(item, "child"),
            age_days=int(fields.number(item, "age_days", least=0, most=MAX_DAYS)),
            split=split,
            duration_s=fields.number(item, "duration_s", least=0, most=MAX_SECONDS),
            room=fields.text(item, "room", None),
        )
    except BadField as error:
        raise BadField(f"recording {name!r}: {error}") from None


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
            start_s=fields.number(line, "start_s", least=0, most=MAX_SECONDS),
            end_s=fields.number(line, "end_s", least=0, most=MAX_SECONDS),
            text=" ".join(fields.text(line, "text").split()),
            confidence=fields.number(line, "confidence", None),
            speaker=fields.identifier(line, "speaker", None),
        )
    except BadField as error:
        return str(error)
    if utterance.end_s <= utterance.start_s:
        return f"end {utterance.end_s} s is not after start {utterance.start_s} s"
    return utterance if utterance.text else "no words"


def read_annotations(path: Path) -> tuple[list[Frame], list[str]]:
    """Reads COCO annotations, frame by frame in time order.

    Boxes are clipped to their frame. Fields that plain COCO lacks fall back:
    `instance_id` to the annotation's id, `visible` to 1, `colour` and `size` to None.

    Returns:
        The frames (also those without a box), and one line of text for each frame or
        box left out: outside its frame, an unknown image or category, or a bad field.

    Raises:
        UserError: the file is missing, not JSON, not COCO, or no frame is usable.
    """
    raw = read_json(path)
    problems: list[str] = []
    frames, boxes, taken = {}, {}, set()
    try:
        names = category_names(raw, problems)
        for number, item in enumerate(fields.objects(raw, "images")):
            try:
                image_id, frame = _frame(item)
                if image_id in frames or frame.frame_index in taken:
                    raise BadField("id or frame_index is that of an earlier image")
            except BadField as error:
                problems.append(f"image {number}: {error}")
            else:
                frames[image_id], boxes[image_id] = frame, []
                taken.add(frame.frame_index)
        annotations = fields.objects(raw, "annotations")
    except BadField as error:
        raise UserError(f"{path}: not COCO as expected ({error})") from None
    if not frames:
        first = problems[0] if problems else "there is none"
        raise UserError(f"{path}: no usable image ({first})")
    for number, item in enumerate(annotations):
        try:
            image_id = known(item, "image_id", frames)
            boxes[image_id].append(parse_box(item, names, frames[image_id]))
        except BadField as error:
            problems.append(f"annotation {number}: {error}")
    whole = [
        dataclasses.replace(frame, boxes=tuple(boxes[image_id]))
        for image_id, frame in frames.items()
    ]
    return sorted(whole, key=lambda frame: frame.frame_index), problems


def _frame(item: Any) -> tuple[str, Frame]:
    return fields.identifier(item, "id"), Frame(
        frame_index=fields.whole(item, "frame_index", least=0, most=MAX_FRAME),
        time_s=fields.number(item, "time_s"),
        width=side(item, "width"),
        height=side(item, "height"),
        boxes=(),
    )


def side(item: Any, key: str) -> int:
    """Width or height of a picture in pixels."""
    return fields.whole(item, key, least=1, most=MAX_SIDE)


def category_names(raw: Any, problems: list[str]) -> dict[str, str]:
    """Id -> name of the categories of a COCO file.

    Args:
        raw: the file's content.
        problems: receives a line for each category that cannot be used.

    Raises:
        BadField: it has no list of categories.
    """
    names: dict[str, str] = {}
    for number, item in enumerate(fields.objects(raw, "categories")):
        try:
            key = fields.identifier(item, "id")
            if key in names:
                raise BadField(f"id {key} is that of an earlier category")
            name = " ".join(fields.text(item, "name", most=200).split())
            if not name:
                raise BadField("name is empty")
            names[key] = name
        except BadField as error:
            problems.append(f"category {number}: {error}")
    return names


def known(item: Any, key: str, things: Mapping[str, Any]) -> str:
    """An identifier that is a key of `things`; raises BadField if it is none."""
    value = fields.identifier(item, key)
    if value not in things:
        raise BadField(f"{key} {value} is unknown")
    return value


def parse_box(item: Any, names: Mapping[str, str], frame: Frame) -> Box:
    """Reads one COCO annotation; its box is clipped to the frame.

    Args:
        item: the annotation.
        names: of the categories, by identifier.
        frame: the one it lies in.

    Raises:
        BadField: a field is missing or bad, or the box lies outside the frame.
    """
    x, y, width, height = fields.numbers(item, "bbox", 4)
    left, right = (min(max(v, 0.0), frame.width) for v in (x, x + width))
    top, bottom = (min(max(v, 0.0), frame.height) for v in (y, y + height))
    if min(right - left, bottom - top) < MIN_SIDE:
        raise BadField(f"bbox {fields.shown(item['bbox'])} lies outside its frame")
    annotation_id = fields.whole(item, "id")
    return Box(
        annotation_id=annotation_id,
        category=names[known(item, "category_id", names)],
        bbox=(left, top, right - left, bottom - top),
        instance_id=fields.identifier(item, "instance_id", str(annotation_id)),
        colour=fields.text(item, "colour", None, most=200),
        size=fields.text(item, "size", None, most=200),
        visible=fields.number(item, "visible", 1.0, least=0, most=1),
    )
