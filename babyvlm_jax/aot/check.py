"""One program compiled for one slice, and everything that is worth knowing of it."""

import dataclasses
import json
import pathlib
from typing import Any

from babyvlm_jax.aot import collectives, hlo, kernels, traffic
from babyvlm_jax.aot.chips import GIB, Slice
from babyvlm_jax.aot.compiling import Compiled
from babyvlm_jax.aot.programs import NEW_TOKENS, has_update
from babyvlm_jax.aot.refusal import Buffer, read_refusal
from babyvlm_jax.aot.roofline import Roofline, Work, roofline
from babyvlm_jax.training.flops import StepFlops, decode_flops, row_forward
from babyvlm_jax.training.objectives import make_objective
from babyvlm_jax.training.settings import TrainSettings


@dataclasses.dataclass(frozen=True)
class Check:
    """The answer. Sizes are bytes a chip, FLOPs and seconds are of one step.

    Attributes:
        where: slice as Cloud calls it.
        mesh: devices along data, fsdp and tensor.
        remat: part -> policy.
        batch, accumulate: rows of a step and how many parts it is done in.
        limit: of HBM; `peak` may not exceed it.
        buffers: the largest, where it does not fit.
        collectives: kind -> (times, bytes of the whole, bytes that a chip receives).
        largest_gather: bytes of the largest result of an all-gather, and its name.
        kernels: names of the custom kernels in the program.
        uncounted: loops whose length is not known; each counts as one turn.
        flops: of all chips: what the model needs, and what is computed again.
        roofline: seconds of each resource; None where it does not fit.
        seconds: that compiling took.
    """

    name: str
    what: str
    where: str
    topology: str
    chips: int
    mesh: dict[str, int]
    remat: dict[str, str]
    batch: int
    accumulate: int
    seq_len: int
    max_images: int
    arguments: int
    temporaries: int
    peak: int
    limit: int
    buffers: tuple[Buffer, ...]
    collectives: dict[str, collectives.Total]
    largest_gather: tuple[int, str]
    kernels: tuple[str, ...]
    uncounted: int
    flops: StepFlops
    roofline: Roofline | None
    seconds: float

    @property
    def fits(self) -> bool:
        return self.peak <= self.limit

    @property
    def rows_per_second(self) -> float:
        """At best; 0 where it does not fit."""
        return self.batch / self.roofline.full_overlap if self.roofline else 0.0


def check(
    run: TrainSettings, where: Slice, what: str, mesh: dict[str, int], made: Compiled
) -> Check:
    """Reads the compiler's result.

    Args:
        mesh: sizes of the mesh's axes.
        made: of this run, slice and program.
    """
    facts: dict[str, Any] = {
        "name": run.name,
        "what": what,
        "where": where.name,
        "topology": where.topology,
        "chips": where.num_chips,
        "mesh": dict(mesh),
        "remat": dict(make_objective(run).remat()),
        "batch": run.data.batch_size,
        "accumulate": run.accumulate,
        "seq_len": run.data.seq_len,
        "max_images": run.data.max_images,
        "flops": program_flops(run, what),
        "seconds": made.seconds,
    }
    if made.memory is None:
        refusal = read_refusal(made.refusal)
        return Check(
            **facts,
            arguments=0,
            temporaries=0,
            peak=refusal.used,
            limit=refusal.limit,
            buffers=refusal.buffers[:3],
            collectives={},
            largest_gather=(0, ""),
            kernels=(),
            uncounted=0,
            roofline=None,
        )
    program = hlo.parse(made.text)
    found = collectives.find_collectives(program, where.chips_each)
    gathers = [(one.size, one.source) for one in found if one.kind == "all-gather"]
    flops = facts["flops"]
    work = Work(
        (flops.model + flops.again) / where.num_chips,
        flops.model / where.num_chips,
        traffic.hbm_bytes(program),
        collectives.received(found, crosses=False),
        collectives.received(found, crosses=True),
    )
    return Check(
        **facts,
        arguments=made.memory.arguments,
        temporaries=made.memory.temporaries,
        peak=made.memory.peak,
        limit=round(where.chip.hbm_limit * GIB),
        buffers=(),
        collectives=collectives.by_kind(found),
        largest_gather=max(gathers, default=(0, "")),
        kernels=kernels.names(program),
        uncounted=program.uncounted(),
        roofline=roofline(where.chip, work),
    )


def program_flops(run: TrainSettings, what: str) -> StepFlops:
    """FLOPs of one run of the program, over all chips; the mesh must be set."""
    if has_update(what):
        return make_objective(run).flops()
    data, batch = run.data, run.data.batch_size
    forward = row_forward(run.model, run.parts, data.seq_len, data.max_images)
    read = batch * sum(cost.total for cost in forward.values())
    if what == "eval":
        return StepFlops(read, 0.0)
    answer = decode_flops(run.model.decoder, data.seq_len, NEW_TOKENS)
    return StepFlops(read + batch * answer.total, 0.0)


def advice(run: TrainSettings, result: Check, what: str) -> str:
    """What to change first, for a program that does not fit."""
    fixed = sum(one.size for one in result.buffers if "argument" in one.kind.lower())
    ways = result.mesh["data"] * result.mesh["fsdp"]
    rows = result.batch // result.accumulate // ways
    if fixed > sum(one.size for one in result.buffers) / 2 and result.mesh["data"] > 1:
        return "the state is the largest: move devices from config.mesh.data to fsdp"
    for part, policy in result.remat.items():
        if has_update(what) and policy != "full":
            return f"set config.model.{part}.remat to 'full'"
    if rows > 1 and has_update(what):
        return f"set config.accumulate to {2 * result.accumulate}: {rows} rows a chip"
    if rows > 1:
        return f"set config.data.batch_size to {result.batch // 2}"
    if run.model.decoder.num_kv_heads % (2 * result.mesh["tensor"]) == 0:
        return f"set config.mesh.tensor to {2 * result.mesh['tensor']}"
    return "take more chips or chips with more memory"


def write_json(path: pathlib.Path, result: Check) -> None:
    """Writes a check, all or nothing."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(dataclasses.asdict(result), indent=2))
    temporary.replace(path)


def read_json(path: pathlib.Path) -> Check:
    """What `write_json` wrote."""
    facts = json.loads(path.read_text())
    found = facts["collectives"].items()
    facts |= {
        "buffers": tuple(Buffer(*one) for one in facts["buffers"]),
        "collectives": {kind: collectives.Total(*total) for kind, total in found},
        "largest_gather": tuple(facts["largest_gather"]),
        "kernels": tuple(facts["kernels"]),
        "flops": StepFlops(*facts["flops"]),
        "roofline": Roofline(*facts["roofline"]) if facts["roofline"] else None,
    }
    return Check(**facts)
