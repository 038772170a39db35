"""Choices of batch, remat and mesh that a sweep tries."""

import dataclasses
from collections.abc import Callable, Iterator

from babyvlm_jax.aot.check import Check
from babyvlm_jax.aot.chips import Slice
from babyvlm_jax.aot.programs import has_update
from babyvlm_jax.training.settings import TrainSettings

ROWS_A_CHIP = (1, 2, 4)
POLICIES = ("full", "attention", "dots")  # from the least memory to the most


def meshes(run: TrainSettings, where: Slice) -> list[dict[str, int]]:
    """FSDP over a slice, FSDP with tensor parallelism, and plain data parallelism."""
    slices, chips = where.count, where.chips_each
    heads = run.model.decoder.num_kv_heads
    tensors = [ways for ways in (1, 2, 4) if heads % ways == 0 and chips % ways == 0]
    found = [
        {"data": slices, "fsdp": chips // ways, "tensor": ways} for ways in tensors
    ]
    return [*found, {"data": slices * chips, "fsdp": 1, "tensor": 1}]


def sweep(
    run: TrainSettings,
    where: Slice,
    what: str,
    compile_one: Callable[[TrainSettings], Check],
) -> Iterator[Check]:
    """Compiles the run with other meshes, policies and rows a chip, each in one part.

    What must be larger than something that did not fit is not tried.

    Args:
        what: the program; those without a backward pass have no remat to choose.
        compile_one: makes a check of one choice.
    """
    policies = POLICIES if has_update(what) else POLICIES[:1]
    for mesh in meshes(run, where):
        most = len(ROWS_A_CHIP)  # that may still fit
        for policy in policies:
            for number, rows in enumerate(ROWS_A_CHIP[:most]):
                batch = rows * mesh["data"] * mesh["fsdp"]
                result = compile_one(with_choice(run, mesh, policy, batch))
                yield result
                if not result.fits:
                    most = number
                    break


def with_choice(
    run: TrainSettings, mesh: dict[str, int], policy: str, batch: int
) -> TrainSettings:
    """The run with another mesh, remat policy and global batch."""
    model = dataclasses.replace(
        run.model,
        vision=dataclasses.replace(run.model.vision, remat=policy),
        decoder=dataclasses.replace(run.model.decoder, remat=policy),
    )
    data = dataclasses.replace(run.data, batch_size=batch)
    return dataclasses.replace(run, mesh=mesh, model=model, data=data, accumulate=1)
