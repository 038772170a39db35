"""A number by which weights are known, however they are laid out on devices."""

import hashlib
import json
from typing import Any

import jax
import jax.numpy as jnp

_BITS = {2: jnp.uint16, 4: jnp.uint32}


def fingerprint(params: Any) -> str:
    """Short hash of a tree of arrays: of paths, shapes, types and every bit.

    Sums of mixed bits, modulo 2^32, are the same in any order, so nothing is gathered
    and any mesh gives the same. It finds mistakes, not forgeries.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    sums = _all_sums([leaf for _, leaf in leaves])
    facts = [
        [jax.tree_util.keystr(path), list(leaf.shape), str(leaf.dtype), *map(int, two)]
        for (path, leaf), two in zip(leaves, sums, strict=True)
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@jax.jit
def _all_sums(arrays: list[jax.Array]) -> list[tuple[jax.Array, jax.Array]]:
    return [_sums(array) for array in arrays]


def _sums(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two u32[] that each bit and each place changes."""
    bits = jax.lax.bitcast_convert_type(x, _BITS[x.dtype.itemsize]).astype(jnp.uint32)
    place = jnp.zeros(x.shape, jnp.uint32)
    for axis, size in enumerate(x.shape):
        place = place * size + jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
    # the multipliers are odd, so that multiplying loses nothing (as in xxHash)
    mixed = (bits ^ (place * jnp.uint32(0x9E3779B1))) * jnp.uint32(0x85EBCA77)
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0xC2B2AE3D)
    again = (mixed ^ (mixed >> 13)) * jnp.uint32(0x27D4EB2F)
    return jnp.sum(mixed, dtype=jnp.uint32), jnp.sum(again, dtype=jnp.uint32)
