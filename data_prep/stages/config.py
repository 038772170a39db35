"""What a build can be told, checked before anything is read."""

import dataclasses
from typing import Any

from babyvlm_jax.runtime.fields import SEED, Settings, field
from data_prep.stages.scoring import SCORERS, is_scorer

PLACES = ("raw", "out", "num_processes")  # fields that do not change what is built


@dataclasses.dataclass(frozen=True)
class BuildConfig(Settings):
    """One build of pretraining shards; `configs/prep` says where values come from.

    Attributes:
        raw: folder of the raw corpus.
        out: folder of the shards.
        min_duration_s: shorter utterances are dropped.
        min_confidence: less confidently recognised utterances are dropped.
        keep_unscored: utterances without a confidence, as of a transcript written by
            hand, are kept.
        pad_s: video kept before and after an utterance.
        frames_per_clip: frames of a video_utterance.
        image_fps: frames per second of image_utterance.
        frames_fps: frames per second of the frames dataset.
        scorer: `none` keeps every clip and frame; else see `scoring.make_scorer`.
        image_threshold: a frame is kept if its score with the utterance is above.
        video_threshold: a clip is kept if its frames' mean score is above.
        window_min: clips of the shortest interleaved window.
        window_max: clips of the longest.
        max_side: longer pictures are shrunk to this many pixels.
        jpeg_quality: of the stored pictures.
        seed: of window lengths and of splits made here.
        num_processes: recordings prepared at the same time.
    """

    raw: str = field(filled=True)
    out: str = field(filled=True)
    min_duration_s: float = field(ge=0, le=86400)
    min_confidence: float = field(ge=0, le=100)
    keep_unscored: bool
    pad_s: float = field(ge=0, le=86400)
    frames_per_clip: int = field(ge=1)
    image_fps: float = field(gt=0, le=1000)
    frames_fps: float = field(gt=0, le=1000)
    scorer: str
    image_threshold: float
    video_threshold: float
    window_min: int = field(ge=2)
    window_max: int = field(ge=2)
    max_side: int = field(ge=1)
    jpeg_quality: int = field(ge=1, le=95)
    seed: int = field(**SEED)
    num_processes: int = field(ge=1)

    def check(self) -> None:
        least = f"window_min {self.window_min} or more"
        self.need(self.window_max >= self.window_min, "window_max", least)
        known = f"one of {sorted(SCORERS)}, or an embedder (docs/data.md)"
        self.need(is_scorer(self.scorer), "scorer", known)

    def content(self) -> dict[str, Any]:
        """The fields that decide what is built."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in PLACES}
