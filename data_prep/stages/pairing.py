"""Makes records of a recording's clips and pictures.

One function a format; each is pure. A picture is named by its frame index in the
video, `pictures` maps it to a JPEG file.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record
from data_prep.raw import Recording
from data_prep.stages.cutting import Clip

DATASETS = ("text", "frames", "image_utterance", "video_utterance", "interleaved")


@dataclasses.dataclass(frozen=True)
class Pictured:
    """A clip with its frames: `video` spread over it, `images` at a fixed rate.

    `images` holds (k, frame index) with k counted from 1 over all moments, whether
    kept or not; `best` is the frame index that fits the utterance best.
    """

    clip: Clip
    video: tuple[int, ...]
    images: tuple[tuple[int, int], ...]
    best: int


def facts(recording: Recording, split: str, start_s: float, end_s: float) -> dict:
    """The meta of every record: where it comes from."""
    return {
        "recording": recording.recording,
        "child": recording.child,
        "age_days": recording.age_days,
        "split": split,
        "start_s": round(start_s, 3),
        "end_s": round(end_s, 3),
    }


def text_records(recording: Recording, split: str, clips: Sequence[Clip]):
    """Each utterance alone, for the language phase."""
    return [
        Record(
            id=f"{recording.recording}_{clip.span}",
            source="text",
            turns=((ASSISTANT, clip.text),),
            meta=facts(recording, split, clip.start_s, clip.end_s),
        )
        for clip in clips
    ]


def frame_records(
    recording: Recording,
    split: str,
    frames: Sequence[tuple[int, float]],
    pictures: Mapping[int, bytes],
):
    """Each (frame index, time) alone, for the vision phase; k counts from 1."""
    return [
        Record(
            id=f"{recording.recording}_frame_{k}",
            source="frames",
            images=(pictures[index],),
            meta=facts(recording, split, time_s, time_s),
        )
        for k, (index, time_s) in enumerate(frames, start=1)
        if index in pictures
    ]


def image_records(
    recording: Recording,
    split: str,
    clips: Sequence[Pictured],
    pictures: Mapping[int, bytes],
):
    """One picture and the utterance, for each picture of each clip."""
    return [
        Record(
            id=f"{recording.recording}_{item.clip.span}_frame_{k}",
            source="image_utterance",
            images=(pictures[index],),
            turns=((HUMAN, IMAGE_MARK), (ASSISTANT, item.clip.text)),
            meta=facts(recording, split, item.clip.start_s, item.clip.end_s),
        )
        for item in clips
        for k, index in item.images
    ]


def video_records(
    recording: Recording,
    split: str,
    clips: Sequence[Pictured],
    pictures: Mapping[int, bytes],
):
    """A clip's pictures in order, then the utterance."""
    return [
        Record(
            id=f"{recording.recording}_{item.clip.span}",
            source="video_utterance",
            images=tuple(pictures[index] for index in item.video),
            turns=(
                (HUMAN, IMAGE_MARK * len(item.video)),
                (ASSISTANT, item.clip.text),
            ),
            meta=facts(recording, split, item.clip.start_s, item.clip.end_s),
        )
        for item in clips
    ]


def interleaved_records(
    recording: Recording,
    split: str,
    clips: Sequence[Pictured],
    windows: Sequence[tuple[int, int]],
    pictures: Mapping[int, bytes],
):
    """Windows of clips, each clip its best picture and its utterance."""
    records = []
    for first, after in windows:
        items = clips[first:after]
        start_s, end_s = items[0].clip.start_s, max(i.clip.end_s for i in items)
        span = f"{round(start_s * 1000)}_{round(end_s * 1000)}"
        records.append(
            Record(
                # Overlapping lines may share a start, so the window's number too.
                id=f"{recording.recording}_{span}_window_{len(records) + 1}",
                source="interleaved",
                images=tuple(pictures[item.best] for item in items),
                turns=tuple(
                    turn
                    for item in items
                    for turn in ((HUMAN, IMAGE_MARK), (ASSISTANT, item.clip.text))
                ),
                meta=facts(recording, split, start_s, end_s),
            )
        )
    return records
