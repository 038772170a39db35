"""Streams differ by seed, epoch and purpose."""

from babyvlm_jax.data.seeds import generator


def test_streams():
    keys = [(0, 0, "a"), (0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]
    draws = [generator(*key).integers(2**32) for key in keys]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 4
