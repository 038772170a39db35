"""A tokenizer and a model small enough to compute by hand.

The model's next token is a function of everything before it: the sum of the text ids
and of the first pixel of each visual token's picture picks one of four answers;
behind an answer comes `<eos>`.
"""

import re
import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.data.images import encode_png
from babyvlm_jax.evals.engine import CheckpointPredictor
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.sharding import make_mesh

EOS = 3
WORDS = ("a", "b", "c", "d", "left", "right", "top", "bottom", "1", "2", "3", "4")
VOCAB = 128


class WordTokenizer:
    """One id a word, lower-cased; new words get an id that follows from them."""

    pad_id, unk_id, sos_id, eos_id = range(4)
    vocab_size = VOCAB

    def __init__(self):
        self._ids = {word: 4 + i for i, word in enumerate(WORDS)}

    def encode(self, text):
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        return [self._ids.setdefault(word, _id_of(word)) for word in words]

    def decode(self, ids):
        words = {i: word for word, i in self._ids.items()}
        return "".join(" " + words[i] for i in ids)


def _id_of(word):
    first = 4 + len(WORDS)
    return first + zlib.crc32(word.encode()) % (VOCAB - first)


class FakeDecoder(NamedTuple):
    max_len: int = 2**20


class FakeConfig(NamedTuple):
    decoder: FakeDecoder = FakeDecoder()


class FakeModel(NamedTuple):
    encode_images: object
    prefill: object
    decode_step: object
    extend: object
    branch: object
    config: FakeConfig = FakeConfig()


def make_model(answers=(4, 5, 6, 7), tokens_per_image=1):
    """The model whose answers are the given ids."""
    answers = jnp.array(answers)

    def logits(tokens, sums):
        said = (tokens[..., None] == answers).any(-1)
        best = jnp.where(said, EOS, answers[sums % len(answers)])
        return 8.0 * jax.nn.one_hot(best, VOCAB)

    def encode_images(params, images):
        pixels = images[:, :1, 0, :1].astype(jnp.float32)  # N, 1, 1
        return jnp.repeat(pixels, tokens_per_image, axis=1)

    def values(batch):
        pixels = batch["visual"].reshape(-1).astype(jnp.int32)
        seen = pixels[jnp.maximum(batch["visual_index"], 0)]
        value = jnp.where(batch["visual_index"] >= 0, seen, batch["tokens"])
        return jnp.where(batch["segment_ids"] > 0, value, 0)

    def step(params, batch, before):
        added = jnp.sum(batch["segment_ids"] > 0, axis=1)
        total = before + values(batch).sum(axis=1)
        last = jnp.take_along_axis(
            batch["tokens"], jnp.maximum(added - 1, 0)[:, None], axis=1
        )[:, 0]
        return logits(last, params["shift"] + total), total

    def prefill(params, batch, cache_len):
        found, total = step(params, batch, 0)
        kept = jnp.zeros((1, len(total), cache_len, 1, 1))
        return found, {"k": kept, "v": kept, "sum": total}

    def extend(params, cache, batch):
        found, total = step(params, batch, cache["sum"])
        return found, cache | {"sum": total}

    def decode_step(params, cache, tokens):
        total = cache["sum"] + tokens
        return logits(tokens, params["shift"] + total), cache | {"sum": total}

    def branch(params, cache, batch):
        segments = batch["segment_ids"]
        same = segments[:, :, None] == segments[:, None, :]
        causal = jnp.tril(jnp.ones(same.shape[1:], bool))
        sums = jnp.sum(jnp.where(same & causal, values(batch)[:, None], 0), axis=2)
        total = params["shift"] + cache["sum"][:, None] + sums
        return logits(batch["tokens"], total)

    return FakeModel(encode_images, prefill, decode_step, extend, branch)


MODEL = make_model()


def make_reader(batch_size=4, model=MODEL, **changes):
    """A reader of the fake model on one device."""
    mesh = make_mesh({"data": 1, "fsdp": 1, "tensor": 1}, jax.devices()[:1])
    settings = {
        "model": model,
        "params": {"shift": jnp.int32(0)},
        "tokenizer": WordTokenizer(),
        "template": "baby_v1",
        "tokens_per_image": 1,
        "image_size": 8,
        "batch_size": batch_size,
        "buckets": (64, 128),
        "mesh": mesh,
    }
    return Reader(**{**settings, **changes})


def make_predictor(batch_size=4, model=MODEL, **changes):
    """A predictor of the fake model on one device; call it under its mesh."""
    return CheckpointPredictor(make_reader(batch_size, model, **changes), 4)


def picture(value):
    """An 8 x 8 PNG of one grey value."""
    return encode_png(np.full((8, 8, 3), value, np.uint8))
