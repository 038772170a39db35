"""Losses of pictures and their texts; each returns a sum and a count.

All similarities of a batch are a square of B x B numbers. It never exists whole: the
texts (and for the other direction the pictures) are gathered on every device, and some
rows at a time are computed, forwards and backwards, so memory grows with B and not with
its square. Every device has a share of each chunk's rows.

Axes: B pairs, E width of the shared space, C rows of a chunk.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import get_abstract_mesh

from babyvlm_jax.losses import masked_sum
from babyvlm_jax.sharding import batch_ways, constrain

NEVER = -1e9  # similarity to what only fills the batch


def infonce(x, y, valid, scale, chunk: int):
    """Symmetric InfoNCE: which text belongs to a picture, which picture to a text.

    Args:
        x, y: f32[B, E] pictures and texts of unit length; those of a row belong
            together.
        valid: bool[B], False for rows that only fill the batch: they do not count, and
            are nobody's alternative.
        scale: f32[], 1 / temperature.
        chunk: rows at a time.

    Returns:
        total f32[], count f32[].

    Source: CLIP (arXiv 2103.00020), figure 3; CVCL, V1 spec §2.6.
    """

    def one_way(x, y):
        return by_rows(_log_sum_exp, scale * x, y, valid, chunk)

    both = 0.5 * (one_way(x, y) + one_way(y, x))
    return masked_sum(both - scale * jnp.sum(x * y, axis=-1), valid)


def siglip(x, y, valid, scale, bias, chunk: int):
    """Pairwise sigmoid loss: does this text belong to this picture?

    Args:
        bias: f32[], added to all similarities; others as `infonce`.

    Returns:
        total f32[] over all B^2 pairs; count f32[] of rows, by which the source
        divides it.

    Source: SigLIP (arXiv 2303.15343), algorithm 1.
    """
    reduce = functools.partial(_sum_softplus, bias)
    others = by_rows(reduce, scale * x, y, valid, chunk)
    # softplus(-z) = softplus(z) - z: the sum over all pairs has the true ones too
    return masked_sum(others - scale * jnp.sum(x * y, axis=-1) - bias, valid)


def _log_sum_exp(similarities, valid):
    return jax.nn.logsumexp(jnp.where(valid, similarities, NEVER), axis=-1)


def _sum_softplus(bias, similarities, valid):
    return jnp.sum(jnp.where(valid, jax.nn.softplus(similarities + bias), 0.0), axis=-1)


def by_rows(
    reduce: Callable[[jax.Array, jax.Array], jax.Array], x, y, valid, chunk: int
) -> jax.Array:
    """Reduces each row of x y^T, `chunk` rows at a time.

    B = 6 rows, 2 at a time, are taken as (0, 3), (1, 4), (2, 5): where two devices hold
    rows 0-2 and 3-5, each has one row of every chunk and sends none.

    Args:
        reduce: similarities f32[C, B], valid bool[B] -> f32[C]; it is computed again in
            the backward pass.
        x, y: f32[B, E].
        valid: bool[B].

    Returns:
        f32[B].
    """
    num_rows, width = x.shape
    num_chunks = count_chunks(num_rows, chunk, batch_ways(get_abstract_mesh()))
    y, valid = constrain(y, None, None), constrain(valid, None)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def part(rows, y, valid):
        highest = jax.lax.Precision.HIGHEST  # a TPU would round cosines to bfloat16
        return reduce(jnp.dot(rows, y.T, precision=highest), valid)

    if num_chunks == 1:
        return part(x, y, valid)

    def body(_, rows):
        return None, part(constrain(rows, "batch", None), y, valid)

    chunks = x.reshape(-1, num_chunks, width).swapaxes(0, 1)
    _, found = jax.lax.scan(body, None, chunks)
    return found.swapaxes(0, 1).reshape(num_rows)


def count_chunks(num_rows: int, chunk: int, ways: int = 1) -> int:
    """The least number of equal chunks of at most `chunk` rows.

    12 rows, at most 5 at a time: 3 chunks of 4; on 3 devices 4 chunks, of a row each.

    Args:
        num_rows: a multiple of `ways`.
        chunk: rows; at least one on each device.
        ways: devices that have rows of their own.
    """
    share, most = num_rows // ways, max(1, chunk // ways)
    least = -(-share // most)
    return next(n for n in range(least, share + 1) if share % n == 0)
