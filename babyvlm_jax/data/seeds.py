"""Random streams that depend on a seed, an epoch and a purpose, and on nothing else."""

import zlib

import numpy as np


def generator(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """A numpy generator for one purpose in one epoch of one run."""
    return np.random.default_rng([seed, epoch, zlib.crc32(purpose.encode())])
