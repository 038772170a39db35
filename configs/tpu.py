"""The phases of BabyVLM-V2 on TPU slices: a table; see docs/tpu.md.

    python -m babyvlm_jax.aot --config=configs/tpu.py --workdir=runs/tpu

Arguments:

    slice=NAME   one slice's rows: v4-32, v5e-16, v5e-256, v5p-16, v6e-16, 2xv5e-256
    phase=NAME   one phase's rows

A row is a config, a slice, and what it changes of the config: the mesh, the policy of
remat, and on slices of more chips than a published batch has rows, the batch.
"""

import ml_collections

from configs.common import parse_arg

# name -> (topology, slices)
SLICES = {
    "v4-32": ("v4:2x2x4", 1),
    "v5e-16": ("v5e:4x4", 1),
    "v5e-256": ("v5e:16x16", 1),
    "v5p-16": ("v5p:2x2x2", 1),
    "v6e-16": ("v6e:4x4", 1),
    "2xv5e-256": ("v5e:16x16", 2),
}
PHASES = ("language", "vision", "connector", "joint", "instruct")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """All rows, or those of one slice or phase."""
    arg = parse_arg(arg, slice=("", *SLICES), phase=("", *PHASES))
    c = ml_collections.ConfigDict()
    c.rows = tuple(
        row(phase, name)
        for name in SLICES
        for phase in PHASES
        if arg["slice"] in ("", name) and arg["phase"] in ("", phase)
    )
    return c


def row(phase: str, name: str) -> dict:
    """One phase on one slice."""
    topology, slices = SLICES[name]
    return {
        "config": f"configs/v2/{phase}.py",
        "topology": topology,
        "slices": slices,
        "what": "train",
        "changes": changes(phase, name),
    }


def changes(phase: str, name: str) -> tuple[str, ...]:
    """What the row changes of the phase's config."""
    if name not in ("v5e-256", "2xv5e-256"):
        return ()
    slices = SLICES[name][1]
    # 6016 rows of the table do not divide by 256, and less crosses the slice.
    mesh = (f"mesh.data={16 * slices}", "mesh.fsdp=16", "mesh.tensor=1")
    return (*mesh, f"data.batch_size={256 * slices}")  # ours: a row a chip
