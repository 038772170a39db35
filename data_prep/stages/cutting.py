"""Cuts a recording at its utterances: which lines become clips, and where they lie.

Pure functions of the transcript; every line that does not become a clip is counted
under a reason. Source: BabyVLM-V2, video-utterance pairs (spec section 1.2).
"""

import collections
import dataclasses
import itertools
from collections.abc import Sequence

from babyvlm_jax.data.schema import IMAGE_MARK
from data_prep.raw import Utterance


@dataclasses.dataclass(frozen=True)
class Clip:
    """An utterance and its piece of video.

    `start_s`, `end_s` bound the utterance and name the clip; `from_s`, `to_s` bound
    the video around it.
    """

    start_s: float
    end_s: float
    from_s: float
    to_s: float
    text: str

    @property
    def span(self) -> str:
        """`{start_ms}_{end_ms}`, the clip's part of every id."""
        return f"{round(self.start_s * 1000)}_{round(self.end_s * 1000)}"


@dataclasses.dataclass(frozen=True)
class Cut:
    """The clips of a recording, in order of time, and what became of its lines.

    `dropped` counts lines by reason, `faults` names those that no transcript should
    have (not the short and unsure ones, which every recogniser yields). `unscored`
    counts clips whose line has no confidence.
    """

    clips: tuple[Clip, ...]
    dropped: dict[str, int]
    overlapping: int
    faults: tuple[str, ...]
    unscored: int = 0


def cut(
    utterances: Sequence[Utterance],
    video_s: float,
    min_duration_s: float,
    min_confidence: float,
    pad_s: float,
    keep_unscored: bool = True,
) -> Cut:
    """Makes clips of the utterances that are long, sure and new enough.

    A line of 0.4 s is dropped as `short`, one of confidence 0.29 as `unsure`, one
    that starts after the video's end as `outside`, one with the times of an earlier
    line as `repeated`, one that says `<image>`, which stands for an image, as
    `image_mark`. Lines that overlap are kept and counted.

    Args:
        utterances: in order of their start.
        video_s: length of the video; padding stops at its ends.
        min_duration_s: shorter ones are dropped.
        min_confidence: less sure ones are dropped.
        pad_s: video kept on each side.
        keep_unscored: what to do with a line that has no confidence.
    """
    unscored = 0
    dropped = collections.Counter()
    clips, spans, faults = [], set(), []
    for utterance in utterances:
        clip = Clip(
            start_s=utterance.start_s,
            end_s=utterance.end_s,
            from_s=max(utterance.start_s - pad_s, 0.0),
            to_s=min(utterance.end_s + pad_s, video_s),
            text=utterance.text,
        )
        # Milliseconds: 2.5 - 2.0 is 0.5 s, whatever the float error.
        duration_ms = round((utterance.end_s - utterance.start_s) * 1000)
        if utterance.start_s >= video_s:
            dropped["outside"] += 1
            faults.append(f"{clip.span}: begins after the video's end ({video_s} s)")
        elif duration_ms < min_duration_s * 1000:
            dropped["short"] += 1
        elif utterance.confidence is None and not keep_unscored:
            dropped["unscored"] += 1
        elif utterance.confidence is not None and utterance.confidence < min_confidence:
            dropped["unsure"] += 1
        elif IMAGE_MARK in utterance.text:
            dropped["image_mark"] += 1
            faults.append(f"{clip.span}: holds the mark {IMAGE_MARK}; dropped")
        elif clip.span in spans:
            dropped["repeated"] += 1
            faults.append(f"{clip.span}: a second line with these times; dropped")
        else:
            spans.add(clip.span)
            clips.append(clip)
            unscored += utterance.confidence is None
    overlaps = [
        f"{later.span}: overlaps {earlier.span}; both kept"
        for earlier, later in itertools.pairwise(clips)
        if later.start_s < earlier.end_s
    ]
    faults = (*faults, *overlaps)
    return Cut(tuple(clips), dict(dropped), len(overlaps), faults, unscored)
