"""One of several JAX processes that read the same data; `test_processes` starts it.

It makes its slices of some steps' batches, puts them on the devices of all processes,
and gathers the global batches; process 0 writes them down.
"""

import json
import sys

import jax
import numpy as np
from jax.experimental import multihost_utils

from babyvlm_jax import sharding
from babyvlm_jax.data.config import DataConfig
from babyvlm_jax.data.pipeline import make_rows, prefetched


def main(port: int, count: int, index: int, job: dict) -> None:
    """Reads `job`: config, steps [first, last), file name pattern of the batches."""
    jax.distributed.initialize(f"localhost:{port}", count, index)
    assert (jax.process_count(), jax.process_index()) == (count, index)
    mesh = sharding.make_mesh({"data": -1, "fsdp": 2, "tensor": 1})
    first, last = job["steps"]
    learnt = jax.jit(lambda batch: batch["loss_mask"].sum())
    config = DataConfig(**job["config"])
    for step, batch in prefetched(make_rows(config), config, first, index, count):
        if step == last:
            break
        placed = sharding.put_batch(mesh, batch)
        total = int(learnt(placed))  # a sum over all processes
        whole = multihost_utils.process_allgather(placed, tiled=True)
        assert total == whole["loss_mask"].sum()
        if index == 0:
            np.savez(job["out"].format(step=step), **whole)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), json.loads(sys.argv[4]))
