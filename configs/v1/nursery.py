"""BabyVLM V1's generative model on the synthetic nursery, small enough for a laptop.

    python -m babyvlm_jax.data.tokenizer --kind=words --shards=runs/demo/shards \\
        --out=runs/demo/words.txt
    python -m babyvlm_jax.recipe --config=configs/v1/recipe.py:nursery,data=runs/demo \\
        --workdir=runs/v1

Four phases: a GPT-2 on the caregiver's words, an encoder on the child's frames, the
connector, all of them together on pairs of a frame and an utterance. Arguments:

    data=DIR     folder of `shards/` and `words.txt`; else the work directory
    smoke        a few steps of each phase

The phases are those of `configs/nursery.py` but for what is said here. What differs
from V1: its encoder comes from outside and stays frozen; here DINO has had seconds, so
the encoder learns in the joint phase too.
"""

import ml_collections

from configs import common
from configs import nursery as drawn
from configs.models import MODELS

PHASES = ("language", "vision", "connector", "joint")
STEPS = {"language": 120, "vision": 60, "connector": 50, "joint": 400}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The recipe."""
    arg = common.parse_arg(arg, data="{workdir}", smoke=False)
    phases = {name: phase(name, arg["data"]) for name in PHASES}
    if arg["smoke"]:
        for c in phases.values():
            c.num_steps = 4
    return common.recipe(phases)


def phase(name: str, data: str) -> ml_collections.ConfigDict:
    """One phase of the nursery with V1's model, words and pairs."""
    c = getattr(drawn, name)("{workdir}")
    c.model = MODELS["v1-nursery"]
    c.num_steps = STEPS[name]
    c.data.shards = f"{data}/shards"
    c.data.tokenizer = f"{data}/words.txt"
    if name != "vision":
        c.data.template = "plain"  # V1 2.2: the recommended clean form
    if name == "joint":
        c.data.mixture = ml_collections.ConfigDict({"image_utterance": 1.0})  # V1 1.2
    return c
