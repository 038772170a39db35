"""BabyVLM V1, phase 1: the connector alone, on filtered pairs.

    python -m babyvlm_jax.train --config=configs/v1/connector.py:root=runs/v1 \\
        --workdir=runs/v1/connector

Arguments:

    root=DIR     folder of the phases; data=DIR: of `shards/` and `tokenizer.model`
    vision=FROM  where the encoder comes from, `WORKDIR[:PREFIX]`; else what
                 `convert import --out=ROOT/vision` made of Orhan's checkpoint
    size=NAME    v1, v1-llama (the large variant)
    lr=, examples=   the original's sweeps: 3e-3, 1e-3, 3e-4; 160, 320, 640, 128,
                 256, 512. The large variant's choice was 3e-4 and 256
    pairs=SET    built (default), filtered, filtered-aug, aug-only, filtered-random;
                 docs/v1.md says how to make them
    records=N    pairs of each dataset of the set, for the number of steps
    fraction=F   only so large a share of them; the steps, and with them the examples
                 seen, stay (V1's 75, 50 and 25 % for 8, 12 and 24 epochs)
    smoke        three steps of a tiny model, from nothing
"""

import ml_collections

from configs import official
from configs.common import steps
from configs.v1 import PAIRS, SIZES, WORDS


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The phase."""
    arg = official.parse(
        arg,
        "v1",
        SIZES,
        vision="",
        lr=(3e-3, 1e-3, 3e-4),  # V1 2.5: sweep, the path names' choice first
        # V1 2.5: sweeps of 40, 80 x 1, 2 and of 32, 64, 128 on each of 4 GPUs
        examples=(160, 320, 640, 128, 256, 512),
        pairs=tuple(PAIRS),
        records=67_000,  # V1 1.2
        fraction=1.0,
    )
    c = official.phase("connector", arg)
    official.pair_rows(c, arg["examples"], WORDS[arg["size"]])
    num_pairs = arg["records"] * len(PAIRS[arg["pairs"]])
    c.num_steps = steps(5, num_pairs, arg["examples"])  # V1 2.5: 5 epochs
    c.data.mixture = dict.fromkeys(PAIRS[arg["pairs"]], 1.0)  # V1 1.4
    c.data.fraction = arg["fraction"]
    c.data.template = "plain"  # V1 2.2: the recommended clean form
    c.optim.lr_peak = arg["lr"]
    c.optim.trains = ("connector/.*",)  # V1 2.5
    c.warm_start = {
        "decoder": f"{arg['root']}/language",
        "vision": arg["vision"] or f"{arg['root']}/vision",
    }
    return official.finish(c, arg)
