"""Compiles a run's real program for a TPU slice that is not there.

    python -m babyvlm_jax.compile_check --config=configs/v2/joint.py \\
        --topology=v5e:4x4 --config.mesh.fsdp=16

    ... --slices=2                 # two such slices, joined by the data center
    ... --what=eval                # train (default), eval, decode, dino
    ... --sweep                    # batch, remat and mesh choices, best first
    ... --out=check.json           # the figures, for a program

Needs libtpu (the extra `tpu`), no TPU. Prints what a chip must hold and has room for,
FLOPs in closed form, the collectives in the compiled program, and a roofline from the
chip's published peaks. Exit code 78 when it does not fit, with the largest buffers and
what to change. Slices: v4, v5e, v5p, v6e by topology (`v5e:4x4`) or by Cloud's name
(`v5litepod-16`).
"""

import json
import pathlib

from etils import epy

from babyvlm_jax.aot.chips import GIB, Slice, parse_slice
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import settings

with epy.lazy_imports():  # --help needs none of these, and they take seconds
    import jax

    from babyvlm_jax import sharding
    from babyvlm_jax.aot import check, compiling, printing, programs, sweeping

FLAGS = {
    "topology": ("", "Slice to compile for, such as v5e:4x4."),
    "slices": (1, "How many of them."),
    "what": ("train", "Program: train, eval, decode or dino."),
    "sweep": (False, "Tries batch, remat and mesh choices."),
    "out": ("", "File that gets the figures."),
}


def main(config, topology: str, slices: int, what: str, sweep: bool, out: str) -> None:
    run = settings.from_config(json.loads(config.to_json()))
    where = parse_slice(topology, slices)
    jax.config.update("jax_platforms", "cpu")  # a TPU that is there is left alone
    if sweep:
        print_sweep(run, where, what)
        return
    result = compile_one(run, where, what)
    print(printing.describe(result))
    if programs.has_update(what) and result.fits:
        print(f"  {printing.chip_hours(result, run.num_steps)}")
    if out:
        check.write_json(pathlib.Path(out), result)
    if not result.fits:
        largest = "; ".join(map(str, result.buffers)) or "see above"
        raise UserError(
            f"{run.name} needs {result.peak / GIB:.2f} GiB of {result.limit / GIB:.2f} "
            f"on {where.name}; largest: {largest}; {check.advice(run, result, what)}"
        )


def compile_one(run: settings.TrainSettings, where: Slice, what: str) -> "check.Check":
    """Compiles one program and reads the result."""
    mesh = sharding.make_mesh(run.mesh, compiling.devices(where))
    with jax.set_mesh(mesh):
        made = compiling.compile_for(run, mesh, what)
        return check.check(run, where, what, dict(mesh.shape), made)


def print_sweep(run: settings.TrainSettings, where: Slice, what: str) -> None:
    """Compiles every choice and prints the table, best first."""
    results = []
    for result in sweeping.sweep(
        run, where, what, lambda one: compile_one(one, where, what)
    ):
        results.append(result)
        print(printing.table([result]).splitlines()[-1], flush=True)
    best = sorted(results, key=lambda one: (one.fits, one.rows_per_second))
    print("\nbest first, by rows a second at best:\n" + printing.table(best[::-1]))
    if not best[-1].fits:
        raise UserError(
            f"none of {len(best)} choices fits {where.name}; take more chips"
        )


if __name__ == "__main__":
    run_config_command(
        __doc__, main, settings.TrainSettings, workdir=False, extra=FLAGS
    )
