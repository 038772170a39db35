"""Annotated frames -> banks: links boxes to objects, decodes every frame once.

Recordings are decoded in parallel into flat files of pixels in a scratch folder. What
cannot be used is left out and reported in a line; nothing left at all is an error.

If the annotations do not say which box is which object, boxes of one category in
neighbouring frames are linked where they overlap enough; where an object will be is
predicted from its last step, as a head that turns moves all objects alike. A box at
the border is cut: how much of it is visible follows from the object's size when it was
whole.
"""

import collections
import dataclasses
import functools
import itertools
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy.optimize
from tqdm import tqdm

from babyvlm_jax.runtime.errors import SystemFault, UserError
from data_prep import raw, video
from data_prep.devcv.items import Bank, Frame, Thing, intersection

CHUNK = 32  # consecutive frames kept together, for Visual Delayed Response
MIN_IOU = 0.3  # ours: at 5 frames a second, two things rarely overlap so much
MAX_GAP = 2  # steps: a detector misses a thing now and then
BORDER = 0.005  # of the frame: a box so near to its border is cut
CUT = 0.5  # what counts as seen of a box at the border that is never whole


@dataclasses.dataclass(frozen=True)
class Job:
    """One recording to decode: `read` gives (index, pixels) of the wanted frames."""

    recording: str
    split: str
    frames: tuple[raw.Frame, ...]
    read: Callable[[list[int], list[int]], Iterable[tuple[int, np.ndarray]]]


def files_of(corpus: raw.Corpus) -> dict[str, Path]:
    """All files of a corpus that `load_raw` and what it gives read."""
    files = {"corpus.json": corpus.root / "corpus.json"}
    for recording in corpus.recordings:
        name = recording.recording
        files[f"annotations/{name}"] = corpus.annotations(name)
        files[f"videos/{name}"] = corpus.video(name)
    return files


def load_raw(root: str, max_frames: int, seed: int) -> tuple[list[Job], list[str]]:
    """Lists the recordings of a raw corpus that can give items.

    Args:
        root: folder of the corpus (see `data_prep.raw`).
        max_frames: frames per split to keep at most, in runs of `CHUNK`.
        seed: which of them.

    Returns:
        The jobs, and a line for everything left out.

    Raises:
        UserError: no corpus, or no recording with annotations.
    """
    corpus = raw.read_corpus(root)
    jobs, problems = [], []
    sizes = collections.Counter(recording.split for recording in corpus.recordings)
    for recording in corpus.recordings:
        name = recording.recording
        if recording.split is None:
            problems.append(f"{name}: the corpus gives it no split")
            continue
        try:
            frames, faults = raw.read_annotations(corpus.annotations(name))
        except SystemFault:
            raise
        except UserError as error:
            problems.append(str(error))
            continue
        problems += [f"{corpus.annotations(name)}: {fault}" for fault in faults]
        budget = -(-max_frames // sizes[recording.split])
        frames = thin(_tracked(name, frames), budget, seed, name)
        read = functools.partial(video.read_frames, corpus.video(name))
        jobs.append(Job(name, recording.split, tuple(frames), read))
    if not jobs:
        raise UserError(
            f"{root}: no recording has usable annotations ({len(problems)} problems, "
            f"the first: {problems[0] if problems else 'no recordings'})"
        )
    return jobs, problems


def _tracked(name: str, frames: list[raw.Frame]) -> list[raw.Frame]:
    """The frames, with things told apart where the annotations are plain COCO."""
    boxes = [box for frame in frames for box in frame.boxes]
    if any(box.instance_id != str(box.annotation_id) for box in boxes):
        return frames
    frames = link(name, frames)
    whole = all(box.visible == 1 for box in boxes)
    return estimate_visible(frames) if whole else frames


def thin(frames: list[raw.Frame], budget: int, seed: int, name: str):
    """At most about `budget` frames of a recording, in random whole runs."""
    if len(frames) <= budget:
        return frames
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    starts = range(0, len(frames), CHUNK)
    kept = rng.permutation(len(starts))[: max(budget // CHUNK, 1)]
    return [f for k in sorted(kept) for f in frames[starts[k] : starts[k] + CHUNK]]


def decode(
    jobs: list[Job], scratch: Path, each: Callable[..., Iterable]
) -> tuple[dict[str, Bank], list[str]]:
    """Decodes every job and gathers the frames into one bank per split.

    An instance that train shows is taken out of val and test (none in the nursery).

    Args:
        jobs: the recordings.
        scratch: folder for their pixels.
        each: runs a function on every tuple of arguments, results in any order.

    Returns:
        Split -> bank, and a line for everything left out.

    Raises:
        UserError: no frame of any recording could be decoded.
    """
    frames, problems = {split: [] for split in raw.SPLITS}, []
    stores = [str(scratch / f"{i:06d}.rgb") for i in range(len(jobs))]
    calls = [
        (
            i,
            stores[i],
            job.read,
            {f.frame_index: (f.height, f.width) for f in job.frames},
        )
        for i, job in enumerate(jobs)
    ]
    results = each(_decode_one, calls)
    for i, offsets, faults in tqdm(
        results, total=len(jobs), desc="decode frames", unit="recording"
    ):
        job = jobs[i]
        frames[job.split] += [
            Frame(
                job.recording,
                frame.frame_index,
                frame.width,
                frame.height,
                tuple(_thing(job.recording, box) for box in frame.boxes),
                stores[i],
                offsets[frame.frame_index],
            )
            for frame in job.frames
            if frame.frame_index in offsets
        ]
        problems += [f"{job.recording}: {fault}" for fault in faults]
    problems.sort()  # workers end in any order
    if not any(frames.values()):
        first = problems[0] if problems else "there is no frame"
        raise UserError(
            "no annotated frame could be read; check that the pictures belong to the "
            f"annotations (the first of {len(problems)} problems: {first})"
        )
    trained = {t.instance for frame in frames["train"] for t in frame.things}
    for split in ("val", "test"):
        leaked = {t.instance for frame in frames[split] for t in frame.things} & trained
        frames[split] = without(frames[split], leaked)
        problems += [f"{split}: instance {i} is also in train" for i in sorted(leaked)]
    return {split: Bank(found) for split, found in frames.items()}, problems


def instances(job: Job) -> set[str]:
    """The things that a recording's annotations show."""
    return {_thing(job.recording, box).instance for f in job.frames for box in f.boxes}


def without(frames: Iterable[Frame], instances: set[str]) -> list[Frame]:
    """The frames that show none of these instances."""
    return [f for f in frames if instances.isdisjoint(t.instance for t in f.things)]


def _decode_one(
    number: int,
    store: str,
    read: Callable[[list[int], list[int]], Iterable[tuple[int, np.ndarray]]],
    shapes: dict[int, tuple[int, int]],
) -> tuple[int, dict[int, int], list[str]]:
    """Writes a recording's frames to `store`; (number, index -> offset, faults).

    Annotations stay with the caller: to send them to a worker and back took longer
    than to decode.
    """
    offsets, problems, skipped, end = {}, [], [], 0
    try:
        with open(store, "wb") as out:
            for index, pixels in read(list(shapes), skipped):
                (high, wide), (said_high, said_wide) = pixels.shape[:2], shapes[index]
                if (high, wide) != shapes[index]:
                    problems.append(
                        f"frame {index} is {wide}x{high}, its annotation says "
                        f"{said_wide}x{said_high}"
                    )
                    continue
                out.write(pixels.tobytes())
                offsets[index] = end
                end += pixels.size
    except SystemFault:
        raise
    except UserError as error:
        problems.append(str(error))
    problems += [f"frame {i} cannot be decoded" for i in skipped]
    return number, offsets, problems


def _thing(recording, box) -> Thing:
    instance = box.instance_id
    if instance == str(box.annotation_id):  # plain COCO: unique in one file only
        instance = f"{recording}/{instance}"
    return Thing(
        category=box.category,
        instance=instance,
        look=instance.removesuffix(f"_{box.size}"),
        bbox=box.bbox,
        colour=box.colour,
        visible=box.visible,
    )


@dataclasses.dataclass
class _Track:
    """One object so far: where it was last, and its last step."""

    name: str
    category: str
    time: int
    bbox: np.ndarray
    step: np.ndarray


def link(
    recording: str, frames: Sequence[raw.Frame], min_iou: float = MIN_IOU
) -> list[raw.Frame]:
    """Names the things of a recording: the same name in frame after frame.

    Args:
        recording: part of the names.
        frames: in order of time.
        min_iou: least overlap with the guess, intersection over union.

    Returns:
        The frames; `instance_id` is `RECORDING/N`, N the id of the thing's first box.
    """
    indices = [frame.frame_index for frame in frames]
    usual = min((b - a for a, b in itertools.pairwise(indices)), default=1)
    tracks: list[_Track] = []
    linked = []
    for frame in frames:
        time = frame.frame_index // usual
        tracks = [track for track in tracks if time - track.time <= MAX_GAP]
        boxes = []
        for box, track in _matched(frame.boxes, tracks, time, min_iou):
            name, bbox = f"{recording}/{box.annotation_id}", np.array(box.bbox, float)
            if track is None:
                track = _Track(name, box.category, time, bbox, np.zeros(2))
                tracks.append(track)
            else:
                moved = _centre(bbox) - _centre(track.bbox)
                track.step = moved / (time - track.time)
                track.time, track.bbox = time, bbox
            boxes.append(dataclasses.replace(box, instance_id=track.name))
        linked.append(dataclasses.replace(frame, boxes=tuple(boxes)))
    return linked


def _centre(bbox: np.ndarray) -> np.ndarray:
    return bbox[:2] + bbox[2:] / 2


def _matched(boxes: Sequence[raw.Box], tracks: Sequence[_Track], time: int, min_iou):
    """Each box with its track, None where it begins one."""
    overlaps = np.zeros((len(boxes), len(tracks)))
    for (i, box), (k, track) in itertools.product(enumerate(boxes), enumerate(tracks)):
        if track.category == box.category and track.time < time:
            predicted = track.bbox[:2] + track.step * (time - track.time)
            overlaps[i, k] = iou(box.bbox, (*predicted, *track.bbox[2:]))
    rows, columns = scipy.optimize.linear_sum_assignment(-overlaps)
    pairs = zip(rows, columns, strict=True)
    found = {i: tracks[k] for i, k in pairs if overlaps[i, k] >= min_iou}
    return [(box, found.get(i)) for i, box in enumerate(boxes)]


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    shared = intersection(a, b)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def estimate_visible(frames: Sequence[raw.Frame]) -> list[raw.Frame]:
    """Says how much of each thing is seen, where the annotations do not.

    A 40x20 box that shrinks to 10x20 at the left border: visible 0.25.

    Args:
        frames: of one recording, in order of time; boxes of one `instance_id` are one
            thing.

    Returns:
        The frames; `visible` is 1 away from the border. At the border it is the area
        against that of the nearest whole box of the thing, `CUT` if there is none. A
        crowd, of which nothing counts as seen, stays so.
    """
    whole = collections.defaultdict(list)  # instance -> (time, area)
    for frame in frames:
        for box in frame.boxes:
            if not at_border(box, frame):
                whole[box.instance_id].append((frame.frame_index, _area(box)))

    def seen(box: raw.Box, frame: raw.Frame) -> raw.Box:
        if not box.visible or not at_border(box, frame):
            return box
        if not (known := whole[box.instance_id]):
            return dataclasses.replace(box, visible=CUT)
        _, area = min(known, key=lambda one: abs(one[0] - frame.frame_index))
        return dataclasses.replace(box, visible=min(_area(box) / area, 1.0))

    return [
        dataclasses.replace(frame, boxes=tuple(seen(box, frame) for box in frame.boxes))
        for frame in frames
    ]


def at_border(box: raw.Box, frame: raw.Frame) -> bool:
    """Whether a box reaches the border of its frame."""
    x, y, width, height = box.bbox
    slack = BORDER * min(frame.width, frame.height)
    return (
        min(x, y) <= slack
        or x + width >= frame.width - slack
        or y + height >= frame.height - slack
    )


def _area(box: raw.Box) -> float:
    return box.bbox[2] * box.bbox[3]
