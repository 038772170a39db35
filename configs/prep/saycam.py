"""Shards from SAYCam as BabyVLM-V2 made them (its thresholds; see each value).

  python -m data_prep.build --config=configs/prep/saycam.py \
      --config.raw=RAW --config.out=SHARDS --config.num_processes=32

RAW is the corpus in this project's raw layout (corpus.json, videos/, transcripts/).
Hundreds of hours: about an hour on 32 cores.
"""

import ml_collections as mlc

from babyvlm_jax.runtime.errors import UserError


def get_config(arg: str = "") -> mlc.ConfigDict:
    """Settings of `data_prep.build`; takes no argument, set single values by flag."""
    if arg:
        raise UserError(f"configs/prep/saycam.py takes no argument, got {arg!r}")
    c = mlc.ConfigDict()
    c.raw = ""  # given on the command line
    c.out = ""  # given on the command line
    c.min_duration_s = 0.5  # BabyVLM-V2
    c.min_confidence = 0.3  # BabyVLM-V2
    c.keep_unscored = True  # ours: a transcript written by hand has no confidence
    c.pad_s = 1.0  # BabyVLM-V2
    c.frames_per_clip = 8  # the authors' samples of BabyView
    c.image_fps = 1.0  # BabyVLM-V2
    c.frames_fps = 1.0  # ours: the vision phase's rate in V2 is unknown
    c.scorer = "none"  # the official CLIP checkpoint is unknown
    c.image_threshold = 0.2  # CLIP cut of V1 and V2
    c.video_threshold = 0.1  # X-CLIP cut of V2; ours: mean score of the clip's frames
    c.window_min = 4  # BabyVLM-V2
    c.window_max = 8  # BabyVLM-V2
    c.max_side = 640  # frames of SAYCam are stored at 640 x 480
    c.jpeg_quality = 92  # ours: no visible loss
    c.seed = 0
    c.num_processes = 8  # ours: cores of one machine
    return c
