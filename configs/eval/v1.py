"""Benchmarks models on the four tests of BabyVLM V1.

    python -m babyvlm_jax.evaluate --config=configs/eval/v1.py --workdir=runs/v1 \
        --config.checkpoint=runs/v1/joint --config.shards=runs/v1/shards

Labeled-S, Visual Two-Word Test and Baby Winoground compare pictures with words
(`match`), SAYCam Caption has the model write (`generate`). The original's score of a
text is its likelihood per word under the picture, without the end of the sentence.
Results go to WORKDIR/eval/STEP: give each benchmark a work directory of its own.
Arguments:

    smoke        only the first 8 items of each task
    size=v1      prompts of models with up to 197 visual tokens an image (v1, v1-llama)
"""

from configs.common import parse_arg
from configs.eval import devcv

# Tokens of a picture and nothing else, or of any shorter prompt.
BUCKETS = {"nursery": (8, 64), "v1": (64, 256)}


def get_config(arg=""):
    """Settings of an evaluation."""
    arg = parse_arg(arg, smoke=False, size=tuple(BUCKETS))
    c = devcv.get_config("smoke" if arg["smoke"] else "")
    c.tasks = ("v1",)
    c.protocols = ("match", "generate")
    c.normalize = True  # V1 3.1: mean over the words of the text
    c.score_eos = False  # V1 2.2: w1 to wn
    c.controls = ("no_image",)  # V1 3.4: how far language alone goes
    c.max_new_tokens = 25  # V1 3.6
    c.buckets = BUCKETS[arg["size"]]
    return c
