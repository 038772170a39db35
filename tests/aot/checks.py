"""Two answers: a program that fits, and one that does not."""

import dataclasses

from babyvlm_jax.aot.check import Check
from babyvlm_jax.aot.collectives import Total
from babyvlm_jax.aot.refusal import Buffer
from babyvlm_jax.aot.roofline import Roofline
from babyvlm_jax.training.flops import StepFlops

GIB = 2**30

FITS = Check(
    name="joint",
    what="train",
    where="v5litepod-16",
    topology="v5e:4x4",
    chips=16,
    mesh={"data": 1, "fsdp": 16, "tensor": 1},
    remat={"vision": "full", "decoder": "attention"},
    batch=32,
    accumulate=2,
    seq_len=8192,
    max_images=41,
    arguments=GIB,
    temporaries=4 * GIB,
    peak=5 * GIB,
    limit=63 * GIB // 4,
    buffers=(),
    collectives={"all-gather": Total(44, 2 * GIB, 1.5 * GIB)},
    largest_gather=(GIB // 8, "blocks/mlp/up"),
    kernels=("splash_mha_fwd",),
    uncounted=0,
    flops=StepFlops(4e15, 1e15),
    roofline=Roofline(0.5, 0.1, 0.25, 0.0, 0.4),
    seconds=60.4,
)
TOO_LARGE = dataclasses.replace(
    FITS,
    accumulate=1,
    arguments=0,
    temporaries=0,
    peak=20 * GIB,
    buffers=(Buffer(6 * GIB, "f32[2,8192,6016]", "HLO temp", "loss/logits"),),
    collectives={},
    largest_gather=(0, ""),
    kernels=(),
    roofline=None,
)
