"""Benchmarks a checkpoint on the ten DevCV tasks.

    python -m babyvlm_jax.evaluate --config=configs/eval/devcv.py --workdir=runs/demo \
        --config.checkpoint=runs/demo/instruct --config.shards=runs/demo/shards \
        --config.tokenizer=runs/demo/tokenizer.model

Writes runs/demo/eval/STEP/{results,leaderboard}.json and predictions.jsonl. The demo's
checkpoint takes less than a minute on 2 cores without an accelerator. `:smoke` asks
only the first 8 items of each task.
"""

import ml_collections as mlc

from babyvlm_jax.errors import UserError


def get_config(arg=""):
    """Settings of an evaluation; `arg` is empty or `smoke`."""
    if arg not in ("", "smoke"):
        raise UserError(f"configs/eval/devcv.py:{arg}: expected ':smoke' or nothing")
    c = mlc.ConfigDict()
    c.checkpoint = ""  # a phase's work directory
    c.shards = ""  # folder of the devcv_* datasets
    c.tokenizer = ""  # empty: the one the checkpoint was trained with
    c.tasks = ("all",)
    c.split = "test"
    c.mechanism = ""  # generate, choice or match; empty: the official one of each task
    c.normalize = False  # choice and match: likelihood per token, as BabyVLM V1
    c.blank_images = False  # control: every picture is the same grey
    c.limit = 8 if arg == "smoke" else 0  # items of each task; 0: all
    c.batch_size = 8 if arg == "smoke" else 32
    c.seed = 0  # of the bootstrap
    c.mesh = {"data": -1, "fsdp": 1, "tensor": 1}
    return c
