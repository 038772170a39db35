"""Rows of one record each: what packing is compared with. Pure, like `packing`."""

import numpy as np

from babyvlm_jax.data.packing import (
    Capacity,
    Plan,
    as_plan,
    check_some_fit,
    fits,
)
from babyvlm_jax.data.seeds import generator


def single(lengths: np.ndarray, capacity: Capacity, seed: int, epoch: int) -> Plan:
    """One record a row, shuffled; arguments and result as `packing.plan`."""
    order = _shuffled(lengths, capacity, seed, epoch)
    return as_plan([np.array([i]) for i in order], lengths, capacity)


def length_grouped(
    lengths: np.ndarray, capacity: Capacity, seed: int, epoch: int, batch_size: int
) -> Plan:
    """One record a row, records of a batch sorted by length and of one modality.

    Records with pictures and records without are shuffled, cut into batches and sorted
    inside each, longest first; then the batches are shuffled. The last batch of each
    modality is filled up with empty rows.

    Args:
        lengths, capacity, seed, epoch: as `packing.plan`.
        batch_size: rows of the global batch.

    Returns:
        As `packing.plan`; the number of rows is a multiple of `batch_size`.

    Source: "group by modality length" in BabyVLM-V2's training code.
    """
    order = _shuffled(lengths, capacity, seed, epoch)
    pictured = lengths[order, 1] > 0
    batches = []
    for members in (order[pictured], order[~pictured]):
        for start in range(0, len(members), batch_size):
            batch = members[start : start + batch_size]
            batch = batch[np.argsort(-lengths[batch, 0], kind="stable")]
            rows = [np.array([i]) for i in batch]
            rows += [np.zeros(0, np.int64)] * (batch_size - len(rows))
            batches.append(rows)
    turns = generator(seed, epoch, "batches").permutation(len(batches))
    rows = [row for i in turns for row in batches[i]]
    return as_plan(rows, lengths, capacity)


def _shuffled(lengths, capacity, seed, epoch):
    fit = fits(lengths, capacity)
    check_some_fit(lengths, fit, capacity, "the mixture")
    rng = generator(seed, epoch, "packing")
    return rng.permutation(np.flatnonzero(fit))
