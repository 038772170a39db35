"""BabyVLM V1's contrastive baseline, CVCL: a picture and its utterance find each other.

    python -m babyvlm_jax.train --config=configs/v1/contrastive.py:root=runs/v1 \\
        --workdir=runs/v1/contrastive
    python -m babyvlm_jax.train --workdir=runs/demo/contrastive \\
        --config=configs/v1/contrastive.py:size=nursery,root=runs/demo

Arguments:

    root=DIR     folder of the phases; data=DIR: of `shards/` and `tokenizer.model`,
                 which V1 has of words (docs/data.md)
    vision=FROM  where the image tower comes from, `WORKDIR[:PREFIX]`; else what
                 `convert import --out=ROOT/vision` made of Orhan's checkpoint, and for
                 the nursery the teacher of its vision phase
    size=NAME    v1 (ResNeXt-50 and 512 numbers), nursery (ours: a minute on a laptop)
    text=KIND    words (CVCL: the mean of word embeddings), transformer (ours)
    loss=KIND    infonce, siglip
    finetune     the image tower trains too (always so in the nursery)
    pairs=SET    built (default), filtered, filtered-aug, aug-only, filtered-random
    records=N, epochs=N    pairs of each dataset of the set, and how often they are seen
                 at most
    smoke        three steps of a tiny model, from nothing

Figures of the BabyVLM fork are told apart from CVCL's where both are known. The end
of a run holds the parameters of its best validation.
"""

import ml_collections

from configs import official
from configs.common import steps
from configs.v1 import PAIRS

SIZES = ("v1", "nursery")
VOCABULARY = {"v1": 2350, "nursery": 1024}  # V1 1.1; the demo's tokenizer
WIDTH = {"v1": 512, "nursery": 64}  # V1 2.6: Linear(2048 -> 512); ours
SPREAD = {"v1": 1.0, "nursery": 0.1}  # torch's default; ours
NUM_LAYERS = 2  # ours: of the small transformer


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The phase."""
    arg = official.parse(
        arg,
        "v1",
        SIZES,
        vision="",
        text=("words", "transformer"),
        loss=("infonce", "siglip"),
        finetune=False,
        pairs=tuple(PAIRS),
        records=67_000,  # V1 1.2
        epochs=400,  # V1 2.6: at most
    )
    c = official.phase("contrastive", arg)
    c.loss = "contrastive"
    c.parts = ("vision", "text", "head")
    c.contrastive = towers(arg)
    names = PAIRS[arg["pairs"]]
    c.data.mixture = dict.fromkeys(names, 1.0)  # V1 1.4; 2.6: a frame for each pair
    c.data.template = "plain"
    c.data.max_images = 1
    c.data.seq_len = 25  # V1 1.1: longer utterances are cut, specials included
    if arg["size"] == "v1":
        published(c, arg)
    else:
        nursery(c, arg)
    # ours: pictures of another corpus are trained on, never what a run is judged by
    c.validation.datasets = names if arg["pairs"] == "built" else ("filtered",)
    if arg["text"] == "transformer":
        c.optim.trains += ("head/text/.*",)
    if arg["loss"] == "siglip":
        c.optim.trains += ("head/log_scale", "head/bias")  # as in SigLIP
    if arg["smoke"]:
        shrink(c)
    return c


def towers(arg) -> dict:
    """The section of the text tower and the shared space."""
    width = WIDTH[arg["size"]]
    text = {"vocab_size": VOCABULARY[arg["size"]], "width": width}
    if arg["text"] == "words":
        text |= {"family": "words", "embed_std": SPREAD[arg["size"]]}
    else:
        text |= {
            "family": "gpt2",
            "num_layers": NUM_LAYERS,
            "num_heads": width // 64 or 1,
            "mlp_dim": 4 * width,
            "max_len": 32,
            "dtype": "float32",
            "remat": "none",
        }
    siglip = arg["loss"] == "siglip"
    return {
        "embed_dim": width,
        "text": text,
        "pool": "mean",  # V1 2.6
        "image_bias": True,  # torch's Linear
        "loss": arg["loss"],
        # V1 2.6: 1 / 0.07, fixed; SigLIP's own: 10, learned
        "temperature": 0.1 if siglip else 0.07,
        "chunk": 1024,
        "augmented": False,
    }


def published(c: ml_collections.ConfigDict, arg) -> None:
    """The figures of CVCL and of the BabyVLM fork."""
    c.data.batch_size = 8  # V1 2.6
    records = arg["records"] * len(PAIRS[arg["pairs"]])
    c.num_steps = steps(arg["epochs"], records, c.data.batch_size)
    c.contrastive.augmented = True
    c.contrastive.augment = {  # V1 2.6
        "global_scale": (0.2, 1.0),
        "flip": 0.5,
        "blur_probs": (0.5, 0.5, 0.5),
        "jitter_prob": 0.0,
        "gray_prob": 0.0,
        "solarize_prob": 0.0,
    }
    c.optim.lr_peak = 1e-4  # V1 2.6
    c.optim.weight_decay = 0.1  # V1 2.6
    c.optim.schedule = "constant"  # V1 2.6: only lowered where validation stands still
    c.optim.warmup_fraction = 0.0
    c.optim.clip_norm = 0.0  # none is recorded
    c.optim.trains = ("text/.*", "head/image/.*")  # V1 2.6: the first runs freeze it
    # torch's AdamW decays all that trains
    c.optim.decays = ("text/.*", "head/.*/.*")
    if arg["finetune"]:
        c.optim.trains += ("vision/.*",)
        c.optim.decays += ("vision/.*/(w|scale|bias)",)  # not batch norm's statistics
    c.validation = {
        "every": steps(1, records, c.data.batch_size),  # once an epoch
        "split": "val",
        "factor": 0.1,  # V1 2.6
        "patience": 20,  # V1 2.6
        "stop_patience": 5,  # V1 2.6 (fork); CVCL runs through
    }
    c.log_every = 100  # ours
    c.warm_start = {"vision": arg["vision"] or f"{arg['root']}/vision"}


def nursery(c: ml_collections.ConfigDict, arg) -> None:
    """A minute on one core; all of it ours."""
    c.data.batch_size = 64
    c.num_steps = 300  # three epochs; of 600 steps, validation was best at 200
    c.optim.lr_peak = 2e-3
    c.optim.schedule = "wsd"
    c.optim.weight_decay = 0.02
    c.optim.trains = ("text/.*", "head/image/.*", "vision/.*")
    c.validation = {
        "every": 100,
        "split": "val",
        "factor": 0.3,
        "patience": 1,
        "stop_patience": 2,
    }
    c.warm_start = {"vision": arg["vision"] or f"{arg['root']}/vision:teacher/vision"}


def shrink(c: ml_collections.ConfigDict) -> None:
    """A few steps of a tiny model of the same kind, from nothing."""
    official.shrink(c)
    c.data.seq_len = 25
    c.contrastive.augmented = False
    c.validation.every = 2
    c.save_every = 2
    c.warm_start = ml_collections.ConfigDict()
