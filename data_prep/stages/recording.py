"""Prepares one recording: transcript -> clips -> pictures -> records, and a report."""

import collections
import dataclasses

from babyvlm_jax.data.schema import Record
from babyvlm_jax.runtime.errors import SystemFault, UserError
from data_prep.raw import Corpus, Recording, read_transcript
from data_prep.stages import pairing
from data_prep.stages.config import BuildConfig
from data_prep.stages.cutting import Clip, Cut, cut
from data_prep.stages.pairing import Pictured
from data_prep.stages.sampling import encode_frames, times_at_rate, times_spread
from data_prep.stages.scoring import make_scorer, score_pairs
from data_prep.stages.windows import windows
from data_prep.video import VideoInfo, video_info

FRAME_SPLITS = ("train", "val")  # phase vision has no test


@dataclasses.dataclass
class Report:
    """What one recording gave, and what it lost; `problems` are lines for a person."""

    recording: str
    split: str
    usable: bool = True
    video_s: float = 0.0
    clip_s: float = 0.0
    records: dict[str, int] = dataclasses.field(default_factory=dict)
    dropped: dict[str, int] = dataclasses.field(default_factory=dict)
    overlapping: int = 0
    unscored: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def cut_recording(
    corpus: Corpus, recording: str, video_s: float, config: BuildConfig
) -> tuple[Cut, list[str]]:
    """Reads and cuts a transcript.

    Returns:
        The cut, and a line for each transcript line that could not be read.

    Raises:
        UserError: the transcript is missing or unreadable.
    """
    utterances, problems = read_transcript(corpus.transcript(recording))
    found = cut(
        utterances,
        video_s,
        config.min_duration_s,
        config.min_confidence,
        config.pad_s,
        config.keep_unscored,
    )
    return found, problems


def prepare(
    corpus: Corpus, recording: Recording, split: str, config: BuildConfig
) -> tuple[dict[str, list[Record]], Report]:
    """Makes all records of a recording.

    Returns:
        Dataset name -> records, and the report. A recording whose video or transcript
        cannot be used gives no records and a report that says why.
    """
    report = Report(recording.recording, split)
    try:
        records = _prepare(corpus, recording, config, report)
    except SystemFault:
        raise
    except UserError as error:
        failed = Report(recording.recording, split, usable=False)
        failed.problems.append(str(error))
        return {name: [] for name in pairing.DATASETS}, failed
    report.records = {name: len(items) for name, items in records.items()}
    return records, report


def _prepare(corpus, recording, config, report):
    video = corpus.video(recording.recording)
    transcript = corpus.transcript(recording.recording)
    info = video_info(video)
    found, bad_lines = cut_recording(
        corpus, recording.recording, info.duration_s, config
    )
    report.video_s = info.duration_s
    report.overlapping = found.overlapping
    report.unscored = found.unscored
    report.problems += [f"{transcript}: {bad}" for bad in (*bad_lines, *found.faults)]
    dropped = collections.Counter(found.dropped)
    dropped["bad_line"] += len(bad_lines)

    plans = [_plan(clip, info, config) for clip in found.clips]
    frames = []
    if report.split in FRAME_SPLITS:
        times = times_at_rate(0.0, info.duration_s, config.frames_fps)
        frames = [(info.frame_index(time_s), time_s) for time_s in times]
    wanted = {index for index, _ in frames}
    wanted.update(index for plan in plans for index in plan.video)
    wanted.update(index for plan in plans for _, index in plan.images)
    lost = []
    pictures = encode_frames(video, wanted, config.max_side, config.jpeg_quality, lost)
    if lost:
        dropped["undecodable_frame"] += len(lost)
        report.problems.append(f"{video}: frames not decodable: {_ranges(lost)}")

    whole = [_without(plan, set(lost)) for plan in plans if not {*plan.video} & {*lost}]
    dropped["damaged_clip"] += len(plans) - len(whole)
    kept = _filter(whole, pictures, config)
    dropped["unlike_clip"] += len(whole) - len(kept)
    planned = {plan.clip: len(plan.images) for plan in whole}
    dropped["unlike_frame"] += sum(
        planned[plan.clip] - len(plan.images) for plan in kept
    )
    report.dropped = {reason: count for reason, count in dropped.items() if count}
    report.clip_s = sum(plan.clip.to_s - plan.clip.from_s for plan in kept)
    spans = windows(
        len(kept),
        config.window_min,
        config.window_max,
        config.seed,
        recording.recording,
    )
    where = (recording, report.split)
    return {
        "text": pairing.text_records(*where, found.clips),
        "frames": pairing.frame_records(*where, frames, pictures),
        "image_utterance": pairing.image_records(*where, kept, pictures),
        "video_utterance": pairing.video_records(*where, kept, pictures),
        "interleaved": pairing.interleaved_records(*where, kept, spans, pictures),
    }


def _plan(clip: Clip, info: VideoInfo, config: BuildConfig) -> Pictured:
    """Chooses the clip's frames; the middle one is best until scores say otherwise."""
    spread = times_spread(clip.from_s, clip.to_s, config.frames_per_clip)
    paced = times_at_rate(clip.from_s, clip.to_s, config.image_fps)
    images = tuple(
        (k, info.frame_index(time_s)) for k, time_s in enumerate(paced, start=1)
    )
    return Pictured(
        clip=clip,
        video=tuple(info.frame_index(time_s) for time_s in spread),
        images=images,
        best=images[len(images) // 2][1],
    )


def _without(plan: Pictured, lost: set[int]) -> Pictured:
    images = tuple((k, index) for k, index in plan.images if index not in lost)
    best = plan.best if plan.best not in lost else plan.video[len(plan.video) // 2]
    return dataclasses.replace(plan, images=images, best=best)


def _filter(plans, pictures, config) -> list[Pictured]:
    """Keeps clips, then frames, whose scores are above the thresholds."""
    scorer = make_scorer(config.scorer)
    if scorer is None:
        return plans
    shown = [sorted({*p.video, *(index for _, index in p.images)}) for p in plans]
    pairs = [
        (pictures[index], plan.clip.text)
        for plan, indices in zip(plans, shown, strict=True)
        for index in indices
    ]
    all_scores = iter(score_pairs(scorer, pairs))  # together: scorers work in batches
    kept = []
    for plan, indices in zip(plans, shown, strict=True):
        scores = {index: next(all_scores) for index in indices}
        mean = sum(scores[index] for index in plan.video) / len(plan.video)
        if not mean > config.video_threshold:
            continue
        choice = [index for _, index in plan.images] or list(plan.video)
        kept.append(
            dataclasses.replace(
                plan,
                images=tuple(
                    (k, index)
                    for k, index in plan.images
                    if scores[index] > config.image_threshold
                ),
                best=max(choice, key=scores.get),
            )
        )
    return kept


def _ranges(indices: list[int]) -> str:
    """[3, 4, 5, 9] -> '3-5, 9'."""
    parts, first = [], None
    for index, after in zip(indices, [*indices[1:], None], strict=True):
        first = index if first is None else first
        if after != index + 1:
            parts.append(str(index) if first == index else f"{first}-{index}")
            first = None
    return ", ".join(parts)
