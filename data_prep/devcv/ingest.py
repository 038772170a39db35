"""Raw corpus -> banks: reads annotations, decodes the annotated frames once.

Recordings are decoded in parallel into flat files of pixels in a scratch folder. What
cannot be used is left out and said in a line; only when nothing is left it is an error.
"""

import dataclasses
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from babyvlm_jax.runtime.errors import SystemFault, UserError
from data_prep import raw, video
from data_prep.devcv import tracks
from data_prep.devcv.bank import Bank, Frame, Thing

CHUNK = 32  # consecutive frames kept together, for Visual Delayed Response


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
    sizes = {
        split: sum(r.split == split for r in corpus.recordings) for split in raw.SPLITS
    }
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
        frames = _tracked(name, frames)
        budget = -(-max_frames // sizes[recording.split])
        frames = thin(frames, budget, seed, name)
        reader = VideoReader(corpus.video(name))
        jobs.append(Job(name, recording.split, tuple(frames), reader))
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
    frames = tracks.link(name, frames)
    whole = all(box.visible == 1 for box in boxes)
    return tracks.estimate_visible(frames) if whole else frames


@dataclasses.dataclass(frozen=True)
class VideoReader:
    """Reads frames of one video; an object, so that it travels to a worker."""

    path: Path

    def __call__(self, indices, skipped):
        return video.read_frames(self.path, indices, skipped)


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
    tasks = [(i, stores[i], job.read, _shapes(job)) for i, job in enumerate(jobs)]
    results = each(_decode_one, tasks)
    for i, offsets, faults in tqdm(
        results, total=len(jobs), desc="decode frames", unit="recording"
    ):
        job = jobs[i]
        frames[job.split] += [
            _frame(job.recording, frame, stores[i], offsets[frame.frame_index])
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
        frames[split], leaked = _without(frames[split], trained)
        problems += [f"{split}: instance {i} is also in train" for i in leaked]
    return {split: Bank(found) for split, found in frames.items()}, problems


def instances(job: Job) -> set[str]:
    """The things that a recording's annotations show."""
    return {_thing(job.recording, box).instance for f in job.frames for box in f.boxes}


def _without(frames, trained):
    """Frames that show none of these instances, and the instances met."""
    leaked = sorted({t.instance for f in frames for t in f.things} & trained)
    kept = [f for f in frames if not any(t.instance in trained for t in f.things)]
    return kept, leaked


def _shapes(job):
    return {f.frame_index: (f.height, f.width, 3) for f in job.frames}


def _decode_one(
    number: int,
    store: str,
    read: Callable[[list[int], list[int]], Iterable[tuple[int, np.ndarray]]],
    shapes: dict[int, tuple[int, int, int]],
) -> tuple[int, dict[int, int], list[str]]:
    """Writes a recording's frames to `store`; (number, index -> offset, faults).

    Annotations stay with the caller: to send them to a worker and back took longer
    than to decode.
    """
    offsets, problems, skipped, end = {}, [], [], 0
    try:
        with open(store, "wb") as out:
            for index, pixels in read(list(shapes), skipped):
                high, wide, _ = shapes[index]
                if pixels.shape != shapes[index]:
                    problems.append(
                        f"frame {index} is {pixels.shape[1]}x{pixels.shape[0]}, "
                        f"its annotation says {wide}x{high}"
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


def _frame(recording, frame, store, offset) -> Frame:
    things = tuple(_thing(recording, box) for box in frame.boxes)
    return Frame(
        recording, frame.frame_index, frame.width, frame.height, things, store, offset
    )


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
