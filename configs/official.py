"""What the published phases of V1 and V2 share, and how `smoke` shrinks them.

"V1" and "V2" in the phases' comments are sections of the papers' code, released
scripts and checkpoints as this project has them on record; "ours" is what they leave
open. Global batches are of examples: a row holds several, so its number of rows is
smaller (docs/training.md, "As published").
"""

from collections.abc import Mapping

import ml_collections

from configs import common
from configs.models import MODELS, ROWS, tiny

# V1 2.5: 4 GPUs. V2 does not say; its batches are read as of 4 GPUs too.
GPUS = 4
# ours: the chips of a v4-32, v5e-16 or v6e-16 slice each take one row
CHIPS = 16
# V1 3.6: an utterance has 9.3 words on average; <sos> and <eos> beside them
UTTERANCE_TOKENS = 11.3

# V2 3 and V1 2.5: the trainer's AdamW
OPTIM = {
    "name": "adamw",
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "clip_norm": 1.0,
    "schedule": "cosine",  # to 0
    "warmup_fraction": 0.03,
}
# What the language phases of V1 and V2 change; the trainer decays matrices and tables,
# but neither norms nor biases.
LANGUAGE_OPTIM = {
    "beta2": 0.95,
    "weight_decay": 0.1,
    "decays": (".*/w", "decoder/(embed|head|positions)"),
}
# ours: a model of a billion parameters is spread over the chips, a small one copied
SPREAD = {"data": 1, "fsdp": -1, "tensor": 1}
COPIED = {"data": -1, "fsdp": 1, "tensor": 1}
MESHES = {"v2": SPREAD, "v1-llama": SPREAD}


def parse(arg: str, version: str, sizes: tuple[str, ...], **own):
    """Arguments that all phases know, and this phase's own.

    Args:
        arg: what stands behind the config's colon.
        version: names the default folder, `runs/VERSION`.
        sizes: models, the published one first.
        own: as `common.parse_arg`.
    """
    known = {"root": f"runs/{version}", "data": "", "size": sizes, "smoke": False}
    values = common.parse_arg(arg, **known, **own)
    return {**values, "data": values["data"] or values["root"]}


def phase(name: str, arg: Mapping) -> ml_collections.ConfigDict:
    """A phase with the model, the pictures and the optimizer in place."""
    c = common.phase(name, arg["root"], MODELS[arg["size"]])
    side, tokens, _, _ = ROWS[arg["size"]]
    c.data.update(
        {
            "shards": f"{arg['data']}/shards",
            "tokenizer": f"{arg['data']}/tokenizer.model",
            "image_size": side,
            "tokens_per_image": tokens,
        }
    )
    c.optim = OPTIM
    c.mesh = MESHES.get(arg["size"], COPIED)
    c.save_every = 500  # ours
    c.keep = 2  # ours
    return c


def finish(c: ml_collections.ConfigDict, arg: Mapping) -> ml_collections.ConfigDict:
    """The phase itself, or its smoke test, which needs no earlier phase."""
    if arg["smoke"]:
        shrink(c)
        c.warm_start = ml_collections.ConfigDict()
    return c


def pair_rows(c: ml_collections.ConfigDict, examples: int, words: int) -> None:
    """Rows of a picture and an utterance each: exactly `examples` a batch.

    Image slots fill before tokens do, so a row holds just `examples / CHIPS` records.

    Args:
        examples: of the global batch.
        words: tokens of text that a row has room for, per record.
    """
    c.data.batch_size = CHIPS
    c.data.max_images = examples // CHIPS
    c.data.seq_len = c.data.max_images * (c.data.tokens_per_image + words)
    c.data.record_len = 1024  # GPT-2's positions; a pair has a quarter of them


def shrink(c: ml_collections.ConfigDict) -> None:
    """A few steps of the same kind of model with a few thousand parameters a layer."""
    side, tokens, c.model = tiny(c.model.to_dict())
    c.num_steps = 3
    c.log_every = 1
    c.mesh = COPIED
    pictures = 32 if c.data.max_images else 0  # a memory dialogue has 29
    c.data.update(
        {
            "batch_size": 8,
            "seq_len": 512 if pictures else 128,
            "max_images": pictures,
            "image_size": side,
            "tokens_per_image": tokens,
        }
    )
    if c.loss == "dino":
        c.dino.update({"head_hidden_dim": 32, "head_bottleneck_dim": 16})
        c.dino.num_prototypes = 64
        c.dino.augment.update({"global_size": side, "local_size": side // 2})


def recipe(arg: str, sizes: tuple[str, ...], modules) -> ml_collections.ConfigDict:
    """The phases of several config files as one recipe, in order.

    A smoke test draws what the full recipe takes from outside.

    Args:
        arg: `data=DIR`, `size=NAME`, `smoke`.
        sizes: as `parse`.
        modules: the files; each is a phase of its name.
    """
    arg = common.parse_arg(arg, data="{workdir}", size=sizes, smoke=False)
    given = f"root={{workdir}},data={arg['data']},size={arg['size']}"
    phases = {c.name: c for c in (module.get_config(given) for module in modules)}
    if arg["smoke"]:
        inside = tuple(f"{{workdir}}/{name}" for name in phases)
        for c in phases.values():
            shrink(c)
            sources = c.warm_start.items()
            kept = {part: s for part, s in sources if s.startswith(inside)}
            c.warm_start = ml_collections.ConfigDict(kept)
    return common.recipe(phases)
