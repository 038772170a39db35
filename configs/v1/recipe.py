"""BabyVLM V1's generative model as published: its three phases, each from the last.

    python -m babyvlm_jax.convert import --from=dino_sfp_resnext50.pth \\
        --out=runs/v1/vision
    python -m babyvlm_jax.recipe --config=configs/v1/recipe.py:data=DATA \\
        --workdir=runs/v1
    python -m babyvlm_jax.recipe --config=configs/v1/recipe.py:smoke,data=runs/demo \\
        --workdir=runs/v1-smoke

The encoder is not trained here: V1 takes Orhan's (V1 2.4). Arguments:

    data=DIR     folder of `shards/` and `tokenizer.model`; else the work directory
    size=NAME    v1, v1-llama (the large variant)
    smoke        three steps of each phase with a tiny model, the encoder a drawn one
    nursery      the synthetic nursery's: see `configs/v1/nursery.py`

A phase's own arguments are given when it is run by itself; single values by
`--config.phases.joint.optim.lr_peak=2e-4`.
"""

import re

import ml_collections

from configs import official
from configs.v1 import SIZES, connector, joint, language, nursery

PHASES = (language, connector, joint)


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The recipe."""
    if re.search(r"(^|,)nursery(,|$)", arg):
        return nursery.get_config(re.sub(r"(^|,)nursery(?=,|$)", "", arg))
    return official.recipe(arg, SIZES, PHASES)
