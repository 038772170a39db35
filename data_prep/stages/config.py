"""What a build can be told, checked before anything is read."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from babyvlm_jax.errors import UserError
from data_prep.stages.scoring import SCORERS, is_scorer

PLACES = ("raw", "out", "num_processes")  # fields that do not change what is built


@dataclasses.dataclass(frozen=True)
class BuildConfig:
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

    raw: str
    out: str
    min_duration_s: float
    min_confidence: float
    keep_unscored: bool
    pad_s: float
    frames_per_clip: int
    image_fps: float
    frames_fps: float
    scorer: str
    image_threshold: float
    video_threshold: float
    window_min: int
    window_max: int
    max_side: int
    jpeg_quality: int
    seed: int
    num_processes: int

    def __post_init__(self):
        for name in ("raw", "out"):
            if not getattr(self, name):
                raise UserError(f"no folder given; add --config.{name}=DIR")
        for name in ("frames_per_clip", "max_side", "num_processes"):
            self._expect(name, getattr(self, name) >= 1, "at least 1")
        for name in ("image_fps", "frames_fps"):
            self._expect(name, getattr(self, name) > 0, "above 0")
        for name in ("min_duration_s", "min_confidence", "pad_s"):
            self._expect(name, getattr(self, name) >= 0, "at least 0")
        self._expect("window_min", self.window_min >= 2, "at least 2")
        self._expect("window_max", self.window_max >= self.window_min, ">= window_min")
        self._expect("jpeg_quality", 1 <= self.jpeg_quality <= 95, "1 to 95")
        known = f"one of {sorted(SCORERS)}, or an embedder (docs/data.md)"
        self._expect("scorer", is_scorer(self.scorer), known)

    def _expect(self, name: str, holds: bool, expected: str):
        if not holds:
            raise UserError(
                f"--config.{name}={getattr(self, name)!r}: expected {expected}"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "BuildConfig":
        """Makes the config from a config file's values.

        Raises:
            UserError: a key is missing or unknown, or a value out of range.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        unknown, missing = sorted(set(values) - names), sorted(names - set(values))
        if unknown or missing:
            raise UserError(
                f"config keys unknown: {unknown}, missing: {missing}; "
                f"expected exactly {sorted(names)}"
            )
        return cls(**values)

    def content(self) -> dict[str, Any]:
        """The fields that decide what is built."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in PLACES}
