"""Where annotated frames come from: a raw corpus, or a COCO file and its images.

The recording of a COCO image and its place in time are its `video_id` and `frame_id`,
or are read from its name: the digits after the last `_`, `-` or `.` of the stem are the
frame index, what is before them the recording. A name without digits is a recording of
its own. Splits go by recording, 3:1:1 as in BabyVLM-V2, by a seeded hash. Boxes may be
those of a detector; if no box says which object it shows, `ingest.link` infers it.
"""

import argparse
import bisect
import collections
import dataclasses
import functools
import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from babyvlm_jax.data.images import MAX_PIXELS, read_image
from babyvlm_jax.runtime import json_fields as fields
from babyvlm_jax.runtime.errors import SystemFault, UserError
from babyvlm_jax.runtime.json_fields import BadField
from data_prep import jobs, raw
from data_prep.devcv import ingest
from data_prep.devcv.ingest import Job, thin
from data_prep.importing.flags import check_seed, positive
from data_prep.importing.pictures import find_picture, read_picture
from data_prep.importing.reading import REASONS, Refusal

_STEM = re.compile(r"^(?P<recording>.*?)[_.-]?(?P<index>\d+)$")
SHARES = (3, 1, 1)  # BabyVLM-V2 section 1.3: about 3:1:1
MAX_NAME = 4096  # characters of a path, as the system has it
_IDS = ("instance_id", "track_id")
DEMO_SIDE = 64  # ours: the nursery's models see 32 pixels


@dataclasses.dataclass(frozen=True)
class BoxRules:
    """Which boxes are used, and how they become things.

    Attributes:
        detections: file of a detector's results, a list of {image_id, category_id,
            bbox, score}; beside, or instead of, the annotations.
        min_score: boxes scored lower are left out; those without a score stay.
        min_side: so are boxes with a shorter side of fewer pixels.
        link_iou: overlap that makes boxes of two frames one thing, where no box has an
            `instance_id` or `track_id`; 0: every box is a thing of its own.
    """

    detections: str | None = None
    min_score: float = 0.0
    min_side: float = 0.0
    link_iou: float = ingest.MIN_IOU

    def __post_init__(self):
        if not 0 <= self.link_iou <= 1:
            raise UserError(f"--link-iou={self.link_iou}; give a number from 0 to 1")


def read_folder(
    folder: Path, names: Mapping[int, str], indices: list[int], skipped: list[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Reads images of one recording from files below a folder.

    Args:
        folder: without symbolic links.
        names: frame index -> name of the file.
        indices: of the wanted frames.
        skipped: gets the indices of those that cannot be read.
    """
    for index in sorted(indices):
        try:
            yield index, np.asarray(read_image(read_picture(folder, names[index])))
        except SystemFault:
            raise
        except (Refusal, UserError):
            skipped.append(index)


def files_of(path: str, folder: str, rules: BoxRules) -> dict[str, Path]:
    """All files that `load_coco` and what it gives read.

    Raises:
        UserError: the COCO file cannot be read, or there is no folder.
    """
    files = {Path(path).name: Path(path)}
    if rules.detections is not None:
        files["detections"] = Path(rules.detections)
    for by_index in _read(path, folder)[1].values():
        files |= {f"frames/{n}": Path(folder) / n for _, n in by_index.values()}
    return files


def load_coco(
    path: str, folder: str, max_frames: int, seed: int, rules: BoxRules = BoxRules()
) -> tuple[list[Job], list[str]]:
    """Lists the recordings of a COCO file.

    Args:
        path: the COCO file (images, annotations, categories).
        folder: where its `file_name`s lie.
        max_frames: frames per split to keep at most.
        seed: which of them, and which recording goes to which split.
        rules: for the boxes.

    Returns:
        The jobs, and a line for everything left out.

    Raises:
        UserError: not COCO, no folder, or no picture with a usable entry.
    """
    content, frames, places, problems = _read(path, folder)
    default = [[]] if rules.detections else []  # they may be all there is
    try:
        names = raw.category_names(content, problems)
        annotations = fields.objects(content, "annotations", *default)
    except BadField as error:
        raise UserError(f"{path}: not COCO as expected ({error})") from None
    numbered, broken = _filtered(annotations + _detections(rules, annotations), rules)
    problems += broken
    for number, item in numbered:
        try:
            recording, index = places[raw.known(item, "image_id", places)]
            frame, name = frames[recording][index]
            boxes = (*frame.boxes, _box(item, names, frame, recording))
        except BadField as error:
            problems.append(f"annotation {number}: {error}")
        else:
            frame = dataclasses.replace(frame, boxes=boxes)
            frames[recording][index] = (frame, name)
    if not frames:
        first = f", the first left out because: {problems[0]}" if problems else ""
        raise UserError(f"{path}: no usable image{first}")
    known = [item for _, item in numbered if isinstance(item, Mapping)]
    has_ids = any(key in item for item in known for key in _IDS)
    says_visible = any("visible" in item for item in known)
    jobs, budget = [], -(-max_frames // len(frames))
    for recording, by_index in sorted(frames.items()):
        ordered = [by_index[index][0] for index in sorted(by_index)]
        if not has_ids and rules.link_iou:
            ordered = ingest.link(recording, ordered, rules.link_iou)
        if not says_visible:
            ordered = ingest.estimate_visible(ordered)
        files = {index: name for index, (_, name) in by_index.items()}
        read = functools.partial(read_folder, Path(folder).resolve(), files)
        kept = thin(ordered, budget, seed, recording)
        jobs.append(Job(recording, split_of(recording, seed), tuple(kept), read))
    return jobs, problems


def _detections(rules: BoxRules, annotations: list[Any]) -> list[Any]:
    """A detector's results as annotations; their ids follow the largest one there."""
    if rules.detections is None:
        return []
    found = raw.read_json(Path(rules.detections))
    if not isinstance(found, list):
        raise UserError(
            f"--detections={rules.detections}: expected a list of boxes with image_id, "
            "category_id, bbox, score"
        )
    ids = [item.get("id") for item in annotations if isinstance(item, Mapping)]
    first = 1 + max((one for one in ids if isinstance(one, int)), default=-1)
    return [
        {"id": number, **item} if isinstance(item, Mapping) else item
        for number, item in enumerate(found, first)
    ]


def _filtered(
    annotations: list[Any], rules: BoxRules
) -> tuple[list[tuple[int, Any]], list[str]]:
    """Annotations that pass, with their numbers, and a line for each rule broken."""
    kept, numbers = [], collections.Counter()
    for number, item in enumerate(annotations):
        score, side = _score_and_side(item if isinstance(item, Mapping) else {})
        if score < rules.min_score:
            numbers[f"boxes scored below {rules.min_score}"] += 1
        elif side < rules.min_side:
            numbers[f"boxes with a side below {rules.min_side} pixels"] += 1
        else:
            kept.append((number, item))
    return kept, [f"{n} {what}" for what, n in sorted(numbers.items())]


def _score_and_side(item: Mapping[str, Any]) -> tuple[float, float]:
    """Score and shorter side; what is no number is reported when the box is read."""
    score, box = item.get("score"), item.get("bbox")
    sides = box[2:] if isinstance(box, list) and len(box) == 4 else []
    side = min((s for s in sides if isinstance(s, int | float)), default=np.inf)
    return score if isinstance(score, int | float) else 1.0, side


def name_parts(file_name: str) -> tuple[str, int]:
    """(recording, frame index) of a picture.

    name_parts("a/clip_000012.jpg") -> ("a/clip", 12); name_parts("cup.png") ->
    ("cup", 0)
    """
    stem = os.path.splitext(os.path.normpath(file_name))[0]
    if (match := _STEM.match(stem)) is None:
        return stem, 0
    what = "the number in file_name"
    return match["recording"], fields.whole({what: match["index"]}, what)


def split_of(recording: str, seed: int) -> str:
    """Split of a recording: a function of its name and the seed."""
    place = zlib.crc32(f"{seed}/{recording}".encode()) % sum(SHARES)
    return raw.SPLITS[bisect.bisect(list(itertools.accumulate(SHARES)), place)]


def _read(path: str, folder: str) -> tuple[Any, dict, dict, list[str]]:
    """A COCO file and its frames, without boxes.

    Returns:
        The file's content; recording -> index -> (frame, name of its file); image id ->
        (recording, index); a line for everything left out.
    """
    content = raw.read_json(Path(path))
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; give --frames=DIR of the pictures")
    frames, places, problems = collections.defaultdict(dict), {}, []
    root = Path(folder).resolve()
    try:
        images = fields.objects(content, "images")
    except BadField as error:
        raise UserError(f"{path}: not COCO as expected ({error})") from None
    for number, item in enumerate(images):
        try:
            name = fields.text(item, "file_name", most=MAX_NAME)
            find_picture(root, name)
            recording, index = _place(item, name)
            frame = raw.Frame(
                index, 0.0, raw.side(item, "width"), raw.side(item, "height"), ()
            )
            if frame.width * frame.height > MAX_PIXELS:
                raise BadField(f"more than {MAX_PIXELS:,} pixels")
            image_id = fields.identifier(item, "id")
            if image_id in places or index in frames.get(recording, ()):
                raise BadField(
                    f"id {image_id} or its frame is that of an earlier image"
                )
        except Refusal as refusal:
            reason = f"{REASONS[refusal.reason]} ({refusal.detail})"
            problems.append(f"image {number}: {reason}")
        except BadField as error:
            problems.append(f"image {number}: {error}")
        else:
            frames[recording][index] = (frame, name)
            places[image_id] = (recording, index)
    return content, frames, places, problems


def _place(item: Any, name: str) -> tuple[str, int]:
    """(recording, frame index) of a picture: its own fields, or those of its name."""
    key = "frame_index" if item.get("frame_id") is None else "frame_id"
    index = fields.whole(item, key, None, least=0)
    video = fields.identifier(item, "video_id", None)
    return name_parts(name) if video is None or index is None else (video, index)


def _box(item, names, frame, recording) -> raw.Box:
    """One annotation, clipped to its frame.

    A crowd (many things under one box) counts as hidden: nobody can count it.
    """
    box = raw.parse_box(item, names, frame)
    track = fields.identifier(item, "track_id", None)
    if track is not None and item.get("instance_id") is None:
        box = dataclasses.replace(box, instance_id=f"{recording}/track_{track}")
    crowd = fields.flag(item, "iscrowd", False)
    return dataclasses.replace(box, visible=0.0) if crowd else box


class Source(NamedTuple):
    """Annotated frames.

    Attributes:
        title: name of the corpus or file.
        name: the same with a fingerprint and what is taken of it.
        synthetic: whether nobody filmed them.
        files: name -> file of all that is read; `GROUP/NAME` where there are many.
        load: lists the recordings, and what is wrong with some.
    """

    title: str
    name: str
    synthetic: bool
    files: Mapping[str, Path]
    load: Callable[[], tuple[list[ingest.Job], list[str]]]


def add_source_flags(one: argparse.ArgumentParser) -> None:
    """Adds --raw or --coco and --frames, and what is taken of them."""
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--raw", help="raw corpus with annotations")
    source.add_argument("--coco", help="COCO file; needs --frames")
    one.add_argument("--frames", help="folder of the COCO file's pictures")
    one.add_argument(
        "--max-frames",
        type=positive,
        default=20000,
        help="frames a split at most (their pixels lie in --out meanwhile)",
    )
    one.add_argument(
        "--image-side",
        type=positive,
        help=f"longest side of stored pictures; default {DEMO_SIDE} for --size=demo, "
        "else that of the frames",
    )


def image_side(args: argparse.Namespace) -> int | None:
    """Longest side of stored pictures, None for that of the frames."""
    return args.image_side or (DEMO_SIDE if args.size == "demo" else None)


def find_source(args: argparse.Namespace, rules: BoxRules | None = None) -> Source:
    """What the flags name.

    Args:
        args: with those of `add_source_flags`, and `seed`.
        rules: which boxes count, of a COCO file.

    Raises:
        UserError: a file is missing, or flags do not go together.
    """
    check_seed(args.seed)
    rules = rules or BoxRules()
    taken = f", at most {args.max_frames} frames a split"
    if args.raw is not None:
        if rules != BoxRules():
            raise UserError(
                "--detections, --min-score, --min-side and --link-iou are for --coco"
            )
        corpus = raw.read_corpus(args.raw)
        return Source(
            f"the corpus {corpus.name!r}",
            f"{corpus.name} ({_digest(corpus.root / 'corpus.json')}){taken}",
            corpus.synthetic,
            ingest.files_of(corpus),
            functools.partial(ingest.load_raw, args.raw, args.max_frames, args.seed),
        )
    if args.frames is None:
        raise UserError("--coco needs --frames=DIR, the folder of its pictures")
    name = _named(args.coco, "--coco")
    if rules != BoxRules():
        name += f", {rules}"
    if rules.detections is not None:
        name += f", {_named(rules.detections, '--detections')}"
    where = (args.coco, args.frames)
    load = functools.partial(load_coco, *where, args.max_frames, args.seed, rules)
    files = files_of(*where, rules)
    return Source(Path(args.coco).name, name + taken, False, files, load)


def _named(path: str, flag: str) -> str:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give {flag}=FILE")
    return f"{Path(path).name} ({_digest(Path(path))})"


def _digest(path: Path) -> str:
    return jobs.sha256(path)[:16]
