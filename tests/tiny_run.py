"""A tiny world on disk and configs that train on it in seconds."""

import json
import pathlib
from typing import NamedTuple

import jax
import ml_collections
import numpy as np

from babyvlm_jax.data import tokenizer
from babyvlm_jax.data.images import encode_png
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record, write_dataset
from babyvlm_jax.training import settings

WORDS = ("look", "at", "the", "red", "ball")


class World(NamedTuple):
    """Paths of the tiny world."""

    shards: pathlib.Path
    tokenizer: pathlib.Path


NOWHERE = World(pathlib.Path("shards"), pathlib.Path("tokenizer.model"))


def make_world(folder: pathlib.Path) -> World:
    """Writes text, frames and image_utterance, and trains a tokenizer on them."""

    def say(i):
        return " ".join(WORDS[(i + k) % 5] for k in range(i % 5 + 1))

    def picture(i):
        return encode_png(np.full((8, 8, 3), 5 * i, np.uint8))

    def text(i):
        return Record(f"t{i}", "text", turns=((ASSISTANT, say(i)),))

    def frame(i):
        return Record(f"f{i}", "frames", (picture(i),))

    def pair(i):
        turns = ((HUMAN, "<image>"), (ASSISTANT, say(i)))
        return Record(f"p{i}", "image_utterance", (picture(i),), turns)

    for name, make in (("text", text), ("frames", frame), ("image_utterance", pair)):
        write_dataset(folder / "shards", name, {"train": map(make, range(40))}, "tests")
    path = folder / "tokenizer.model"
    path.write_bytes(tokenizer.train(map(say, range(40)), 120, ["user:", "assistant:"]))
    return World(folder / "shards", path)


def config(world: World, **changes) -> ml_collections.ConfigDict:
    """Every step is logged, every third saved; only numbers differ from a real run."""
    c = ml_collections.ConfigDict()
    c.name = "tiny"
    c.loss = "tokens"
    c.seed = 0
    c.num_steps = 10
    c.parts = ("vision", "connector", "decoder")
    c.model = {
        "vision": {
            "image_size": 8,
            "patch_size": 4,
            "width": 16,
            "num_layers": 1,
            "num_heads": 2,
            "mlp_dim": 32,
            "dtype": "float32",
            "remat": "none",
        },
        "connector": {"hidden_dim": 32, "tokens_per_image": 1},
        "decoder": {
            "vocab_size": 120,
            "width": 32,
            "num_layers": 1,
            "num_heads": 2,
            "num_kv_heads": 2,
            "mlp_dim": 32,
            "dtype": "float32",
            "remat": "none",
        },
    }
    c.data = {
        "shards": str(world.shards),
        "tokenizer": str(world.tokenizer),
        "template": "baby_v1",
        "batch_size": 8,
        "seq_len": 32,
        "max_images": 2,
        "image_size": 8,
        "tokens_per_image": 1,
        "seed": 0,
        "features": "",
        "only": False,
        "synthetic": False,
        "mixture": {"image_utterance": 1.0},
    }
    c.optim = {"name": "adamw", "lr_peak": 1e-2, "trains": (".*",)}
    c.dino = ml_collections.ConfigDict()
    c.mesh = {"data": -1, "fsdp": 1, "tensor": 1}
    c.warm_start = ml_collections.ConfigDict()
    c.accumulate = 1
    c.log_every = 1
    c.save_every = 3
    c.keep = 1
    c.update(changes)
    return c


def vision_config(world: World, **changes) -> ml_collections.ConfigDict:
    """The same for self-distillation."""
    c = config(world, loss="dino", parts=("vision",), **changes)
    c.data.mixture = ml_collections.ConfigDict({"frames": 1.0})
    c.optim.trains = ("vision/.*", "head/.*")
    c.dino = {
        "head_hidden_dim": 16,
        "head_bottleneck_dim": 8,
        "num_prototypes": 32,
        "augment": {"global_size": 8, "num_local": 0},
    }
    return c


def settings_of(make=config, **changes) -> settings.TrainSettings:
    """Settings of a tiny run whose data lie nowhere."""
    return settings.from_config(json.loads(make(NOWHERE, **changes).to_json()))


# Settings that change neither the weights that a run begins with nor its step.
_HABITS = ("save_every", "keep", "keep_every", "log_every", "on_nonfinite", "name")
_PLACES = ("data.shards", "data.tokenizer")


def made_once(make):
    """`train.make_state_and_step`, tracing anew only for what it has not seen.

    Tests that start or resume the same tiny run many times in one process use it. A
    run that begins from a checkpoint is made anew, for the files may have changed.
    """
    made = {}

    def remembered(objective, mesh, begins_from=None):
        if begins_from:
            return make(objective, mesh, begins_from)
        facts = settings.resolved(objective.run)
        left_out = {*_HABITS, *_PLACES}
        kept = {name: facts[name] for name in facts if name not in left_out}
        key = json.dumps(kept, sort_keys=True), mesh
        if key not in made:
            made[key] = make(objective, mesh)
        state, step = made[key]
        # the step takes its state for good, and compiles again for another layout
        copied = jax.tree.map(
            lambda leaf: jax.device_put(leaf, leaf.sharding, may_alias=False), state
        )
        return copied, step

    return remembered
