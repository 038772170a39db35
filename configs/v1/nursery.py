"""BabyVLM V1 on the synthetic nursery, both models, small enough for a laptop.

    python -m babyvlm_jax.data.tokenizer --kind=words --shards=runs/demo/shards \\
        --out=runs/demo/words.txt
    python -m babyvlm_jax.recipe --config=configs/v1/recipe.py:nursery,data=runs/demo \\
        --workdir=runs/v1

Five phases: a GPT-2 on the caregiver's words, an encoder on the child's frames, the
connector, all of them together on pairs of a frame and an utterance; and CVCL, from the
same encoder on the same pairs. Arguments:

    data=DIR     folder of `shards/` and `words.txt`; else the work directory
    pairs=SET    built (default), filtered, filtered-aug, aug-only, filtered-random: the
                 pairs of the last three phases, which have as many steps with each set
    smoke        a few steps of each phase

The phases are those of `configs/nursery.py` and `configs/v1/contrastive.py` but for
what is said here. What differs from V1: its encoder comes from outside and stays
frozen; here DINO has had seconds, so the encoder learns in the joint phase too.
"""

import ml_collections

from configs import common
from configs import nursery as drawn
from configs.models import MODELS
from configs.v1 import PAIRS, contrastive

PHASES = ("language", "vision", "connector", "joint", "contrastive")
STEPS = {"language": 120, "vision": 60, "connector": 50, "joint": 400}


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The recipe."""
    arg = common.parse_arg(arg, data="{workdir}", pairs=tuple(PAIRS), smoke=False)
    phases = {name: phase(name, arg["data"], arg["pairs"]) for name in PHASES}
    if arg["smoke"]:
        for c in phases.values():
            c.num_steps = 4
    return common.recipe(phases)


def phase(name: str, data: str, pairs: str) -> ml_collections.ConfigDict:
    """One phase of the nursery with V1's models, words and pairs."""
    if name == "contrastive":
        given = f"size=nursery,root={{workdir}},data={data},pairs={pairs}"
        c = contrastive.get_config(given)
    else:
        c = getattr(drawn, name)("{workdir}")
        c.model = MODELS["v1-nursery"]
        c.num_steps = STEPS[name]
        c.data.shards = f"{data}/shards"
    c.data.tokenizer = f"{data}/words.txt"
    if name != "vision":
        c.data.template = "plain"  # V1 2.2: the recommended clean form
    if name in ("connector", "joint"):
        c.data.mixture = ml_collections.ConfigDict(dict.fromkeys(PAIRS[pairs], 1.0))
    return c
