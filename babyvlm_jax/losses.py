"""Losses; each returns a sum and a count, and the caller divides once."""

import jax
import jax.numpy as jnp


def token_nll(logits: jax.Array, targets: jax.Array, loss_mask: jax.Array):
    """Negative log-likelihood of the supervised targets.

    Args:
        logits: f32[..., V].
        targets: i32[...].
        loss_mask: bool[...], True where a target counts.

    Returns:
        total f32[], count f32[].
    """
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    nll = jax.nn.logsumexp(logits, axis=-1) - chosen
    return jnp.sum(nll * loss_mask), jnp.sum(loss_mask, dtype=jnp.float32)


def token_nll_by_source(logits, targets, loss_mask, sources, names):
    """`token_nll` of each dataset's tokens.

    Args:
        logits, targets, loss_mask: as `token_nll`.
        sources: i32[...] number of the dataset that a target comes from.
        names: the datasets, in the order of their numbers.

    Returns:
        name -> (total f32[], count f32[]).
    """
    return {
        name: token_nll(logits, targets, loss_mask & (sources == number))
        for number, name in enumerate(names)
    }


def distillation(student: jax.Array, teacher: jax.Array):
    """Cross-entropy between every teacher view and every other student view.

    Args:
        student: f32[S, B, C] log-probabilities; its first views are the teacher's.
        teacher: f32[G, B, C] probabilities.

    Returns:
        total f32[], count f32[] of (teacher view, student view, image) pairs.

    Source: DINO (arXiv 2104.14294), equation 3.
    """
    pairs = -jnp.einsum("gbc,sbc->gsb", teacher, student)
    views = jnp.arange(student.shape[0])
    other = jnp.arange(teacher.shape[0])[:, None] != views[None, :]
    count = jnp.sum(other, dtype=jnp.float32) * student.shape[1]
    return jnp.sum(pairs * other[:, :, None]), count
