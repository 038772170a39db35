"""Tiny contrastive models, batches of pairs, and a config that trains on them."""

import dataclasses
import functools

import jax
import ml_collections
import numpy as np

from babyvlm_jax.models.config import ContrastiveConfig, WordsConfig
from babyvlm_jax.models.contrastive import make_pair_model
from tests import tiny, tiny_run

EMBED = 16
WORDS = ContrastiveConfig(
    embed_dim=EMBED, text=WordsConfig(vocab_size=tiny.VOCAB, width=EMBED)
)
TRANSFORMER = dataclasses.replace(WORDS, text=tiny.GPT2)
LLAMA = dataclasses.replace(
    WORDS, text=dataclasses.replace(tiny.DECODER, tied=True), loss="siglip"
)
CLIP = ContrastiveConfig(
    embed_dim=EMBED,
    text=dataclasses.replace(tiny.GPT2, activation="quick_gelu"),
    pool="cls",
    image_bias=False,
)
CLIP_VISION = dataclasses.replace(
    tiny.VISION,
    activation="quick_gelu",
    pre_norm=True,
    patch_bias=False,
    pixels="clip",
    norm_eps=1e-5,
)
FORMS = {
    "cvcl": (tiny.RESNEXT, WORDS),
    "transformer": (tiny.VISION, TRANSFORMER),
    "llama": (tiny.VISION, LLAMA),
    "clip": (CLIP_VISION, CLIP),
}


def bench(form: str):
    """(model, params) of a form, on one device; the tree is the caller's own."""
    model, params = _drawn(form)
    return model, jax.tree.map(lambda leaf: leaf, params)


@functools.lru_cache
def _drawn(form):
    model = make_pair_model(*FORMS[form])
    with jax.set_mesh(tiny.mesh_of()):
        params = jax.jit(model.init)(jax.random.key(0))
    if form != "cvcl":
        params["text"]["embed"] *= 50.0  # fresh ones hardly tell tokens apart
    return model, params


def batch(num_pairs: int, seed: int = 0, num_tokens: int = 6, num_valid=None):
    """Pairs of noise and random words, 3 to 6 tokens each."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, num_tokens + 1, num_pairs)
    mask = np.arange(num_tokens) < lengths[:, None]
    tokens = rng.integers(4, tiny.VOCAB, (num_pairs, num_tokens)) * mask
    images = rng.integers(0, 256, (num_pairs, 8, 8, 3)).astype(np.uint8)
    valid = np.arange(num_pairs) < (num_pairs if num_valid is None else num_valid)
    return {
        "images": images,
        "tokens": tokens.astype(np.int32),
        "text_mask": mask,
        "valid": valid,
    }


def config(world: tiny_run.World, **changes) -> ml_collections.ConfigDict:
    """`tiny_run.config` for a contrastive phase that validates every other step."""
    c = tiny_run.config(world)
    c.loss = "contrastive"
    c.parts = ("vision", "text", "head")
    c.data.update({"template": "plain", "seq_len": 8, "max_images": 1})
    c.contrastive = {
        "embed_dim": EMBED,
        "text": {"family": "words", "vocab_size": 120, "width": EMBED},
        "chunk": 4,
    }
    c.validation = {"every": 2, "split": "train", "stop_patience": 0}
    c.update(changes)
    return c
