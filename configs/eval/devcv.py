"""Benchmarks models on the ten DevCV tasks.

    python -m babyvlm_jax.evaluate --config=configs/eval/devcv.py --workdir=runs/demo \
        --config.checkpoint=runs/demo/instruct --config.shards=runs/demo/shards \
        --config.tokenizer=runs/demo/tokenizer.model

Writes runs/demo/eval/STEP/{results,leaderboard}.json and predictions.jsonl. The demo's
checkpoint takes about a minute on 2 cores without an accelerator. Arguments:

    smoke        only the first 8 items of each task
    size=v2      prompts of models with 197 visual tokens an image (v2, small)
"""

import ml_collections as mlc

from configs.common import parse_arg

# Tokens of a prompt: each costs a compilation, and an item takes the first that holds
# it. Nursery: any single question; half a memory dialogue; a whole one.
BUCKETS = {
    "nursery": (64, 192, 384),
    # 197 tokens a picture: 1, 2, 4, 6, 8, 11 of them, 15 rounds (29), 30 rounds (59)
    "v2": (256, 512, 896, 1280, 1664, 2304, 6400, 12800),
}


def get_config(arg=""):
    """Settings of an evaluation."""
    arg = parse_arg(arg, smoke=False, size="nursery")
    if arg["size"] not in BUCKETS:
        raise ValueError(f"size={arg['size']!r} is not one of {sorted(BUCKETS)}")
    c = mlc.ConfigDict()
    c.checkpoint = ""  # work directory, checkpoint, or pattern; several with commas
    c.transformers = ""  # or: a model folder of the transformers library
    c.predictions = ""  # or: a JSONL file of answers
    c.shards = ""  # folder of the devcv_* datasets, or NAME=FOLDER,NAME=FOLDER
    c.tokenizer = ""  # empty: the one the checkpoint was trained with
    c.tasks = ("devcv",)  # those of DevCV that are there
    c.split = "test"
    c.protocols = ("generate", "choice")  # also match; the first is the score
    c.permute = False  # choice: mean over the orders of the options
    c.normalize = False  # choice and match: likelihood per token, as BabyVLM V1
    c.score_eos = True  # choice and match: the end of the answer is part of it
    c.score_unknown = False  # so are words that the tokenizer does not know
    c.ties = "random"  # match: options of equal score; also wrong, right
    c.max_new_tokens = 16  # generate: no allowed answer is longer
    c.controls = ()  # no_image, shuffled_image, no_text: the model is asked again
    c.trajectory = False  # all checkpoints of the run, in order
    c.limit = 8 if arg["smoke"] else 0  # items of each task; 0: all
    c.strict = False  # an item that cannot be asked stops the run
    c.batch_size = 8 if arg["smoke"] else 32
    c.shard_items = 256  # answers that are kept together, if the run is stopped
    c.buckets = BUCKETS[arg["size"]]
    c.seed = 0  # of the simulated guesses
    c.mesh = {"data": -1, "fsdp": 1, "tensor": 1}
    return c
