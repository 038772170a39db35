"""BabyVLM V1, phase 2: connector and decoder on filtered pairs.

    python -m babyvlm_jax.train --config=configs/v1/joint.py:root=runs/v1 \\
        --workdir=runs/v1/joint

Arguments:

    root=DIR     folder of the phases; data=DIR: of `shards/` and `tokenizer.model`
    size=NAME    v1, v1-llama (the large variant; its sweep of lr: 2e-4, 2e-5, 2e-6)
    lr=, examples=, epochs=   the original's sweeps: 2e-3, 2e-4, 2e-5, 2e-6; 256, 128,
                 512; 5, 10
    pairs=SET    built (default), filtered, filtered-aug, aug-only, filtered-random;
                 docs/v1.md says how to make them
    records=N    pairs of each dataset of the set, for the number of steps
    fraction=F   only so large a share of them; the steps, and with them the examples
                 seen, stay (V1's 75, 50 and 25 % for 8, 12 and 24 epochs)
    smoke        three steps of a tiny model, from nothing

The defaults are the released script's. The checkpoint that the original evaluates by
default is named after `lr=2e-4,examples=128`.
"""

import ml_collections

from configs import official
from configs.common import from_phase, steps
from configs.v1 import PAIRS, SIZES, WORDS


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The phase."""
    arg = official.parse(
        arg,
        "v1",
        SIZES,
        lr=(2e-3, 2e-4, 2e-5, 2e-6),  # V1 2.5: the script, then both sweeps
        examples=(256, 128, 512),  # V1 2.5: sweep of 64, 32, 128 on each of 4 GPUs
        epochs=(5, 10),  # V1 2.5: sweep
        pairs=tuple(PAIRS),
        records=67_000,  # V1 1.2
        fraction=1.0,
    )
    c = official.phase("joint", arg)
    official.pair_rows(c, arg["examples"], WORDS[arg["size"]])
    num_pairs = arg["records"] * len(PAIRS[arg["pairs"]])
    c.num_steps = steps(arg["epochs"], num_pairs, arg["examples"])
    c.data.mixture = dict.fromkeys(PAIRS[arg["pairs"]], 1.0)  # V1 1.4
    c.data.fraction = arg["fraction"]
    c.data.template = "plain"  # V1 2.2: the recommended clean form
    c.optim.lr_peak = arg["lr"]
    c.optim.trains = ("connector/.*", "decoder/.*")  # V1 2.5: the encoder is frozen
    c.warm_start = from_phase(arg["root"], "connector")  # holds phase 0's decoder too
    return official.finish(c, arg)
