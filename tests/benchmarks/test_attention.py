"""The comparison sees an error and a leak where there is one."""

import jax
import jax.numpy as jnp
import pytest

from babyvlm_jax.models import attention_kernels
from babyvlm_jax.models.attention import masked_attention
from babyvlm_jax.runtime.errors import UserError
from tests import tiny
from tests.benchmarks import attention

SHAPE = attention.Shape(1, 128, 2, 1, 8, "float32")


@pytest.mark.integration
def test_every_kernel_has_a_line():
    with jax.set_mesh(tiny.mesh_of()):
        lines = attention.table(SHAPE)
    names = [line.split("|")[1].strip() for line in lines[3:]]
    assert names == ["xla", "splash", "cudnn"]
    assert lines[3].startswith("| xla | 0.0e+00 | 0.0e+00 |")
    assert "runs on gpu, not on cpu" in lines[5]


@pytest.mark.integration
def test_a_kernel_that_ignores_segments_is_found_out(monkeypatch):
    def causal_alone(q, k, v, segment_ids):
        length = segment_ids.shape[1]
        mask = jnp.tril(jnp.ones((1, length, length), bool))
        return masked_attention(q, k, v, mask)

    kernels = attention_kernels.KERNELS
    broken = kernels["splash"]._replace(attend=causal_alone)
    monkeypatch.setitem(kernels, "splash", broken)
    with (
        jax.set_mesh(tiny.mesh_of()),
        pytest.raises(UserError, match="splash lets records of a row see each other"),
    ):
        attention.table(SHAPE)
