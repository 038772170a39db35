"""Pieces that several configs share."""

import math
import os
import re
from collections.abc import Mapping

import ml_collections


def parse_arg(arg: str, **known):
    """Reads `--config=FILE.py:ARG`, where ARG is `key=value,flag,...`.

    Args:
        arg: what stands behind the colon. A folder may have commas in its name, if it
            is there.
        known: key -> default. A key with the default False is a flag; a tuple lists
            the only values, the default first; other values become numbers where the
            default is one.

    Returns:
        dict with every key of `known`.

    Raises:
        ValueError: an unknown key, or a value that is not among those listed.
    """
    values = {
        key: default[0] if isinstance(default, tuple) else default
        for key, default in known.items()
    }
    keys = "|".join(map(re.escape, known))
    for item in filter(None, re.split(f",(?=(?:{keys})(?:[=,]|$))", arg)):
        key, _, text = item.partition("=")
        text = text.rstrip(",")  # an argument may be empty
        _, *more = text.split(",")
        if key not in known or (more and not os.path.exists(text)):
            parts = more if key in known else item.split(",")
            wrong = next(one for one in parts if one.partition("=")[0] not in known)
            raise ValueError(f"config argument {wrong!r}: known are {sorted(known)}")
        values[key] = _read(key, text, values[key], known[key])
    return values


def _read(key: str, text: str, default, known):
    if default is False:
        return text or True
    try:
        value = type(default)(text)
    except ValueError:
        raise ValueError(f"{key}={text!r} is not a number") from None
    if isinstance(known, tuple) and value not in known:
        raise ValueError(f"{key}={text!r} is not one of {sorted(known)}")
    return value


def phase(name: str, root: str, model: Mapping) -> ml_collections.ConfigDict:
    """A phase with every key that `train` needs, and nothing chosen.

    Args:
        name: of the phase.
        root: folder of `shards/`, `tokenizer.model` and the phases.
        model: one of `models.MODELS`, or made like one.
    """
    c = ml_collections.ConfigDict()
    c.name = name
    c.loss = "tokens"
    c.seed = 0
    c.num_steps = 0
    c.parts = ("vision", "connector", "decoder")
    c.model = model
    c.data = {
        "shards": f"{root}/shards",
        "tokenizer": f"{root}/tokenizer.model",
        "template": "baby_v1",
        "batch_size": 8,
        "seq_len": 128,
        "max_images": 16,
        "image_size": 224,
        "tokens_per_image": 197,
        "seed": 0,
        "blank_images": False,
        "features": "",
        "only": False,
        "synthetic": False,
        "mixture": ml_collections.ConfigDict(),
        "fraction": 1.0,
        "lessons": (),
    }
    c.optim = {"name": "adamw", "lr_peak": 0.0, "trains": (".*",)}
    c.dino = ml_collections.ConfigDict()
    c.mesh = {"data": -1, "fsdp": 1, "tensor": 1}
    c.warm_start = ml_collections.ConfigDict()
    c.accumulate = 1
    c.log_every = 10
    c.save_every = 200
    c.keep = 1
    c.keep_every = 0
    c.on_nonfinite = "stop"
    c.watchdog_s = 1800.0
    c.trace_steps = ()
    return c


def recipe(phases: Mapping[str, ml_collections.ConfigDict]):
    """The config of `python -m babyvlm_jax.recipe`: phases in order."""
    c = ml_collections.ConfigDict()
    c.seed = 0
    c.order = tuple(phases)
    c.phases = dict(phases)
    return c


def from_phase(root: str, name: str) -> dict[str, str]:
    """Takes every part of the model from one earlier phase."""
    return dict.fromkeys(("vision", "connector", "decoder"), f"{root}/{name}")


def steps(epochs: float, records: int, examples: float) -> int:
    """Steps that show `records` records `epochs` times, so many examples a step."""
    return math.ceil(epochs * records / examples)
