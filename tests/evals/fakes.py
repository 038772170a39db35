"""A tokenizer and a model small enough to compute by hand.

The model's next token is a function of everything before it: the sum of the text ids
and of the first pixel of each visual token's picture picks one of four answers;
behind an answer comes `<eos>`.
"""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.data.images import encode_png
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.sharding import make_mesh

EOS = 3
WORDS = ("a", "b", "c", "d", "left", "right", "top", "bottom", "1", "2", "3", "4")
VOCAB = 128


class WordTokenizer:
    """One id a word, lower-cased; new words get new ids."""

    pad_id, unk_id, sos_id, eos_id = range(4)
    vocab_size = VOCAB

    def __init__(self):
        self._ids = {word: 4 + i for i, word in enumerate(WORDS)}

    def encode(self, text):
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        return [self._ids.setdefault(word, 4 + len(self._ids)) for word in words]

    def decode(self, ids):
        words = {i: word for word, i in self._ids.items()}
        return "".join(" " + words[i] for i in ids)


class FakeModel(NamedTuple):
    forward: object
    prefill: object
    decode_step: object


def make_model(answers=(4, 5, 6, 7), tokens_per_image=1):
    """The model whose answers are the given ids."""
    answers = jnp.array(answers)

    def logits(tokens, sums):
        said = (tokens[..., None] == answers).any(-1)
        best = jnp.where(said, EOS, answers[sums % len(answers)])
        return 8.0 * jax.nn.one_hot(best, VOCAB)

    def sums(batch):
        pixels = batch["images"][:, :, 0, 0, 0].astype(jnp.int32)
        slots = jnp.maximum(batch["visual_index"], 0) // tokens_per_image
        seen = jnp.take_along_axis(pixels, slots, axis=1)
        value = jnp.where(batch["visual_index"] >= 0, seen, batch["tokens"])
        return jnp.cumsum(jnp.where(batch["segment_ids"] > 0, value, 0), axis=1)

    def forward(params, batch):
        return logits(batch["tokens"], params["shift"] + sums(batch))

    def prefill(params, batch, cache_len):
        lengths = jnp.sum(batch["segment_ids"], axis=1)
        rows = jnp.arange(len(lengths))
        total = sums(batch)[rows, lengths - 1]
        last = batch["tokens"][rows, lengths - 1]
        cache = {"sum": total, "room": cache_len - lengths}
        return logits(last, params["shift"] + total), cache

    def decode_step(params, cache, tokens):
        total = cache["sum"] + tokens
        cache = {"sum": total, "room": cache["room"] - 1}
        return logits(tokens, params["shift"] + total), cache

    return FakeModel(forward, prefill, decode_step)


MODEL = make_model()


def make_predictor(batch_size=4, model=MODEL, **changes):
    """A predictor of the fake model on one device."""
    mesh = make_mesh({"data": 1, "fsdp": 1, "tensor": 1}, jax.devices()[:1])
    settings = {
        "model": model,
        "params": {"shift": jnp.int32(0)},
        "tokenizer": WordTokenizer(),
        "template": "baby_v1",
        "tokens_per_image": 1,
        "image_size": 8,
        "batch_size": batch_size,
        "buckets": ((64, 4), (128, 8)),
        "mesh": mesh,
    }
    return Predictor(**{**settings, **changes})


def picture(value):
    """An 8 x 8 PNG of one grey value."""
    return encode_png(np.full((8, 8, 3), value, np.uint8))
