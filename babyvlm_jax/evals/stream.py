"""Greedy answers token by token, for a person who waits.

Two jitted programs, prefill and one step of decoding, each compiled once per bucket.
Axes: B batch, T prompt, V vocabulary.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.reader import Features, Reader, fetch
from babyvlm_jax.runtime.errors import UserError

IMAGES = (1, 4, 16)  # ours: most dialogues show few pictures
TEXT = 128  # ours: tokens beside those of the pictures


def make_buckets(tokens_per_image: int) -> tuple[int, ...]:
    """Lengths with room for text beside some pictures, multiples of 128.

    197 tokens an image give (384, 1024, 3328).
    """
    lengths = [TEXT * (1 + -(-images * tokens_per_image // TEXT)) for images in IMAGES]
    return tuple(dict.fromkeys(lengths))


@functools.lru_cache(maxsize=8)
def make_steps(prefill: Callable, decode_step: Callable, max_new_tokens: int):
    """Makes the two jitted programs of a model; the same arguments share them.

    Returns:
        first(params, batch) -> (token i32[B], cache), and
        next(params, cache, token i32[B]) -> (token i32[B], cache).
    """

    def first(params, batch):
        length = batch["tokens"].shape[1]
        logits, cache = prefill(params, batch, length + max_new_tokens)
        return jnp.argmax(logits, axis=-1).astype(jnp.int32), cache

    def step(params, cache, token):
        logits, cache = decode_step(params, cache, token)
        return jnp.argmax(logits, axis=-1).astype(jnp.int32), cache

    return jax.jit(first), jax.jit(step, donate_argnums=1)


def stream(
    reader: Reader, records: Sequence[Record], max_new_tokens: int
) -> Iterator[np.ndarray]:
    """Answers the last human turns of a batch of records, a token at a time.

    Args:
        reader: the checkpoint; its batch size bounds the number of records.
        records: questions; each ends with a human turn, or with an
            answer that is not shown.
        max_new_tokens: where the answers are cut off.

    Yields:
        i32[len(records)], until all have ended with `<eos>`; an answer that has
        ended goes on with `<eos>`.

    Raises:
        UserError: a prompt is longer than the model's context.
    """
    model, eos = reader.model, reader.tokenizer.eos_id
    encoded = [reader.encode(record, answer=False) for record in records]
    longest = max(len(one.tokens) for one in encoded)
    room = model.config.decoder.max_len - max_new_tokens
    if longest > room:
        raise UserError(
            f"the dialogue has {longest} tokens, but the model's context holds {room} "
            f"and an answer of {max_new_tokens}; begin a new one"
        )
    first, step = make_steps(model.prefill, model.decode_step, max_new_tokens)
    features = Features(reader)
    features.hold(image for one in encoded for image in one.images)
    pieces = [features.piece(one) for one in encoded]
    batch = reader.put(pieces, reader.bucket(longest))
    token, cache = first(reader.params, batch | {"visual": features.table})
    done = np.zeros(len(records), bool)
    for number in range(max_new_tokens):
        row = np.full(len(records), eos)
        row[:] = fetch(token)[: len(records)]
        row[done] = eos
        yield row
        done |= row == eos
        if done.all() or number == max_new_tokens - 1:
            return
        token, cache = step(reader.params, cache, token)
