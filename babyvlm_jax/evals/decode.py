"""Greedy generation with a key-value cache. Axes: B batch, T prompt, N new tokens."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp


@functools.lru_cache(maxsize=32)
def make_greedy(
    prefill: Callable, decode_step: Callable, max_new_tokens: int, eos_id: int
) -> Callable:
    """Makes the jitted greedy decoder of a model; the same arguments share one.

    It compiles once per shape of the batch. A row stops at its first `<eos>`; the
    loop stops when all rows have.

    Args:
        prefill: (params, batch, cache_len) -> (logits f32[B, V], cache).
        decode_step: (params, cache, tokens i32[B]) -> (logits f32[B, V], cache).
        max_new_tokens: N, where generation is cut off.
        eos_id: token that ends a row.

    Returns:
        greedy(params, batch) -> i32[B, N], filled with `<eos>` behind a row's end.
    """

    def greedy(params, batch):
        num_rows, prompt_len = batch["tokens"].shape
        logits, cache = prefill(params, batch, prompt_len + max_new_tokens)
        last = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        output = jnp.full((num_rows, max_new_tokens), eos_id, jnp.int32)
        output = output.at[:, 0].set(last)

        def unfinished(state):
            step, done = state[0], state[2]
            return (step < max_new_tokens) & ~jnp.all(done)

        def extend(state):
            step, last, done, output, cache = state
            logits, cache = decode_step(params, cache, last)
            token = jnp.argmax(logits, axis=-1).astype(jnp.int32)
            token = jnp.where(done, eos_id, token)
            output = output.at[:, step].set(token)
            return step + 1, token, done | (token == eos_id), output, cache

        state = (jnp.int32(1), last, last == eos_id, output, cache)
        return jax.lax.while_loop(unfinished, extend, state)[3]

    return jax.jit(greedy)
