"""Benchmarks a checkpoint on the ten DevCV tasks.

    python -m babyvlm_jax.evaluate --config=configs/eval/devcv.py --workdir=runs/demo \
        --config.checkpoint=runs/demo/instruct --config.shards=runs/demo/shards \
        --config.tokenizer=runs/demo/tokenizer.model

Writes runs/demo/eval/STEP/{results,leaderboard}.json and predictions.jsonl. The demo's
checkpoint takes about a minute on 2 cores without an accelerator. Arguments:

    smoke        only the first 8 items of each task
    size=v2      batches for the published model, with 197 visual tokens an image
"""

import ml_collections as mlc

from configs.common import parse_arg

# (tokens, images) of a batch: each costs a compilation, and an item takes the first
# that holds it. Nursery: any single question; half a memory dialogue; a whole one.
BUCKETS = {
    "nursery": ((64, 8), (192, 16), (384, 32)),
    "v2": ((256, 1), (512, 2), (1024, 4), (2304, 10), (4352, 20), (6400, 29)),
}


def get_config(arg=""):
    """Settings of an evaluation."""
    arg = parse_arg(arg, smoke=False, size="nursery")
    if arg["size"] not in BUCKETS:
        raise ValueError(f"size={arg['size']!r} is not one of {sorted(BUCKETS)}")
    c = mlc.ConfigDict()
    c.checkpoint = ""  # a phase's work directory
    c.shards = ""  # folder of the devcv_* datasets
    c.tokenizer = ""  # empty: the one the checkpoint was trained with
    c.tasks = ("all",)
    c.split = "test"
    c.mechanism = ""  # generate, choice or match; empty: the official one of each task
    c.normalize = False  # choice and match: likelihood per token, as BabyVLM V1
    c.blank_images = False  # control: every picture is the same grey
    c.limit = 8 if arg["smoke"] else 0  # items of each task; 0: all
    c.batch_size = 8 if arg["smoke"] else 32
    c.buckets = BUCKETS[arg["size"]]
    c.seed = 0  # of the bootstrap
    c.mesh = {"data": -1, "fsdp": 1, "tensor": 1}
    return c
