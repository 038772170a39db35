"""Compiles a program for a slice that is not there, with libtpu on the CPU.

One process compiles for one kind of TPU only: libtpu keeps the first that it is asked
for.
"""

import dataclasses
import importlib.util
import os
import time

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from babyvlm_jax.aot.chips import Slice
from babyvlm_jax.aot.programs import make_program
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training.settings import TrainSettings


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of HBM a chip."""

    arguments: int
    outputs: int
    shared: int
    temporaries: int
    code: int

    @property
    def peak(self) -> int:
        """What must be there at once; donated arguments become outputs in place."""
        new = self.outputs - self.shared
        return self.arguments + new + self.temporaries + self.code


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What the compiler made.

    Attributes:
        memory: None where it did not fit.
        text: the optimised program, HLO; empty where it did not fit.
        refusal: what the compiler said, where it did not fit.
        seconds: that it took.
    """

    memory: Memory | None
    text: str
    refusal: str
    seconds: float


def devices(where: Slice):
    """The devices of a slice that is not there.

    Raises:
        UserError: libtpu is not installed.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "libtpu, the compiler, is not installed; pip install "
            f"'jax[tpu]=={jax.__version__}' (the extra `tpu`); no TPU is needed"
        )
    # There is no machine to ask Cloud about, and no TPU to keep from others.
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    os.environ["TPU_WORKER_HOSTNAMES"] = "localhost"
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
    # A v4 chip is one device to JAX; the compiler alone would make its two cores two.
    options = {"chip_config_name": "megacore"} if where.chip.name == "v4" else {}
    found = topologies.get_topology_desc(
        platform="tpu", topology_name=where.topology, num_slices=where.count, **options
    )
    return found.devices


def compile_for(run: TrainSettings, mesh: Mesh, what: str) -> Compiled:
    """Lowers and compiles a program of the run; the mesh must be set."""
    began = time.perf_counter()
    function, arguments = make_program(run, mesh, what)
    lowered = function.lower(*arguments)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return Compiled(None, "", str(error), time.perf_counter() - began)
    seconds = time.perf_counter() - began
    stats = compiled.memory_analysis()
    memory = Memory(
        stats.argument_size_in_bytes,
        stats.output_size_in_bytes,
        stats.alias_size_in_bytes,
        stats.temp_size_in_bytes,
        stats.generated_code_size_in_bytes,
    )
    return Compiled(memory, compiled.as_text(), "", seconds)
