"""Losses; each returns a sum and a count, and the caller divides once.

Axes: B rows, T tokens, C tokens of a chunk, D width, V vocabulary.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp


def token_losses(logits: jax.Array, targets: jax.Array):
    """Negative log-likelihood of each target, and the logits' log normaliser.

    Args:
        logits: f32[..., V].
        targets: i32[...].

    Returns:
        nll f32[...], log_z f32[...].
    """
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    log_z = jax.nn.logsumexp(logits, axis=-1)
    return log_z - chosen, log_z


def chunked_token_losses(
    scores: Callable[[jax.Array], jax.Array],
    x: jax.Array,
    targets: jax.Array,
    loss_mask: jax.Array,
    chunk: int,
):
    """`token_losses` with the logits of `chunk` tokens a row at a time.

    Each row's supervised tokens come first; chunks in which no row has one are not
    computed, forwards or backwards. The backward pass computes logits again.

    loss_mask = [0, 1, 0, 0, 1, 0]  (chunk 2)
    order     = [1, 4, 0, 2, 3, 5]  -> one chunk of three is computed

    Args:
        scores: [B, C, D] -> f32[B, C, V].
        x: [B, T, D] hidden states.
        targets: i32[B, T].
        loss_mask: bool[B, T], True where a target counts.

    Returns:
        nll f32[B, T], log_z f32[B, T]; some of the tokens that do not count have 0.
    """
    length = x.shape[1]
    order = jnp.argsort(~loss_mask, axis=1, stable=True)
    num_chunks = -(-length // chunk)

    def in_chunks(y):
        pad = ((0, 0), (0, num_chunks * chunk - length), *[(0, 0)] * (y.ndim - 2))
        y = jnp.pad(y, pad).reshape(y.shape[0], num_chunks, chunk, *y.shape[2:])
        return jnp.moveaxis(y, 1, 0)

    hidden = jnp.take_along_axis(x, order[..., None], axis=1)
    sorted_targets = jnp.take_along_axis(targets, order, axis=1)
    most = jnp.max(jnp.sum(loss_mask, axis=1))

    def computed(x, targets):
        return token_losses(scores(x), targets)

    def skipped(x, targets):
        del x
        return (jnp.zeros(targets.shape),) * 2

    # Around the choice, not within: what a branch keeps is kept for every chunk, and
    # `scores` holds the table.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def part(wanted, x, targets):
        return jax.lax.cond(wanted, computed, skipped, x, targets)

    def body(_, inputs):
        start, x, targets = inputs
        return None, part(start < most, x, targets)

    starts = jnp.arange(num_chunks) * chunk
    _, found = jax.lax.scan(
        body, None, (starts, in_chunks(hidden), in_chunks(sorted_targets))
    )
    back = jnp.argsort(order, axis=1)

    def in_rows(y):
        y = jnp.moveaxis(y, 0, 1).reshape(x.shape[0], -1)
        return jnp.take_along_axis(y, back, axis=1)

    return tuple(in_rows(y) for y in found)


def masked_sum(values: jax.Array, loss_mask: jax.Array):
    """Sum of the values that count, and how many do: (f32[], f32[])."""
    return jnp.sum(values * loss_mask), jnp.sum(loss_mask, dtype=jnp.float32)


def token_nll(logits: jax.Array, targets: jax.Array, loss_mask: jax.Array):
    """Negative log-likelihood of the supervised targets.

    Args:
        logits: f32[..., V].
        targets: i32[...].
        loss_mask: bool[...], True where a target counts.

    Returns:
        total f32[], count f32[].
    """
    return masked_sum(token_losses(logits, targets)[0], loss_mask)
