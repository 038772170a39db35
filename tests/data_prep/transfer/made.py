"""A small target corpus, a small general one, and their transfer by rules."""

import numpy as np
import pytest

from babyvlm_jax.data.schema import write_dataset
from data_prep.transfer.__main__ import main
from tests.data_prep import embedder
from tests.data_prep.coloured import captioned, pair

NUM_TARGETS = 12
NUM_GENERAL = 40


def mixture_of(rng: np.random.Generator) -> dict[str, float]:
    """Shares of three colours."""
    names = rng.choice(list(embedder.COLOURS), 3, replace=False)
    first, second = sorted(rng.integers(1, 15, size=2))
    shares = (first, second - first, 16 - second)
    return {n: s / 16 for n, s in zip(names.tolist(), shares, strict=True)}


def write_corpora(folder, num_general: int = NUM_GENERAL) -> None:
    """`filtered` of your corpus and `general`, one caption of ten of no use."""
    rng = np.random.default_rng(0)
    ours = [
        pair(f"s{i:02d}", mixture_of(rng), f"see the red ball {i}")
        for i in range(NUM_TARGETS)
    ]
    theirs = [
        captioned(
            f"g{i:02d}",
            mixture_of(rng),
            "STOCK chart" if i % 10 == 9 else f"A red ball, item {i}",
        )
        for i in range(num_general)
    ]
    write_dataset(folder, "filtered", {"train": ours}, "test")
    write_dataset(folder, "general", {"train": theirs}, "test")


def run(*argv) -> int:
    """Runs the command to its exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in argv])
    return stop.value.code


def rewrite(shards, out) -> int:
    flags = ("--name=general", f"--target={shards}", f"--out={out}")
    return run("rewrite", shards, *flags)


def match(shards, out, *more) -> int:
    flags = (f"--embedder={embedder.SPEC}", "--image-size=16", "--batch-size=8", *more)
    return run("match", out, f"--target={shards}", *flags)
