"""The published phases compiled for a TPU slice that is not there: v5e, 16 chips.

Each phase is compiled once, in a process of its own: libtpu keeps to one kind of TPU,
and what XLA warns of is on its standard error.
"""

import functools
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from babyvlm_jax.aot.check import Check, read_json
from babyvlm_jax.models.config import DecoderConfig

pytestmark = pytest.mark.tpu_compile

ROOT = pathlib.Path(__file__).parents[2]
PHASES = ("joint", "instruct")


@functools.lru_cache
def compiled(phase: str) -> tuple[Check, str]:
    """What the command says of a phase, and its standard error."""
    pytest.importorskip("libtpu")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "check.json"
        flags = [f"--config=configs/v2/{phase}.py", "--topology=v5e:4x4"]
        command = [sys.executable, "-m", "babyvlm_jax.compile_check", *flags]
        # conftest's flags make a CPU's compiler hurry
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        done = subprocess.run(
            [*command, f"--out={path}"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return read_json(path), done.stderr


@pytest.mark.parametrize("phase", PHASES)
def test_the_phase_fits(phase):
    result, _ = compiled(phase)
    assert result.limit == 15.75 * 2**30
    assert result.peak <= result.limit


@pytest.mark.parametrize("phase", PHASES)
def test_attention_is_the_kernel(phase):
    result, _ = compiled(phase)
    for part in ("fwd", "dkv", "dq"):  # the backward ones follow the others
        names = [name for name in result.kernels if f"splash_mha_{part}" in name]
        assert names, result.kernels


@pytest.mark.parametrize("phase", PHASES)
def test_nothing_is_replicated_unasked(phase):
    _, warnings = compiled(phase)
    assert "Involuntary full rematerialization" not in warnings


@pytest.mark.parametrize("phase", PHASES)
def test_no_gather_is_larger_than_a_layer(phase):
    result, _ = compiled(phase)
    cfg = DecoderConfig()
    heads = (cfg.num_heads + cfg.num_kv_heads) * cfg.head_dim
    layer = 2 * cfg.width * heads + 3 * cfg.width * cfg.mlp_dim
    size, source = result.largest_gather
    assert size <= 2 * layer, source  # bf16


@pytest.mark.parametrize("topology", ["v4:2x2x4", "v5e:4x4", "v5p:2x2x2", "v6e:4x4"])
def test_a_chip_is_one_device(topology):
    pytest.importorskip("libtpu")
    code = (
        "from babyvlm_jax.aot import chips, compiling\n"
        f"where = chips.parse_slice({topology!r})\n"
        "assert len(compiling.devices(where)) == where.num_chips"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
