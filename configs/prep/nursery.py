"""Shards from the nursery corpus, by the rules of BabyVLM-V2.

  python -m data_prep.build --config=configs/prep/nursery.py \
      --config.raw=runs/demo/raw --config.out=runs/demo/shards

The demo corpus (75 minutes of video) takes under 40 s on 2 cores.
"""

import ml_collections as mlc

from babyvlm_jax.runtime.errors import UserError
from configs.prep import saycam


def get_config(arg: str = "") -> mlc.ConfigDict:
    """The settings for SAYCam, with these changed; takes no argument."""
    if arg:
        raise UserError(f"configs/prep/nursery.py takes no argument, got {arg!r}")
    c = saycam.get_config()
    c.frames_per_clip = 4  # ours: as many as a small model's rows can hold
    c.max_side = 96  # the nursery's own resolution
    c.num_processes = 2  # ours: a machine of two cores
    return c
