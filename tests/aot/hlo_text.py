"""A small program in the form that XLA prints, with a loop over three layers.

Each turn slices a layer's shard out of the stack, gathers it from four chips, and
multiplies in a kernel; after the loop gradients are summed over two slices of two
chips. The kernel's metadata spans lines, and one of them begins with a bracket.
"""

import functools
import re

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl


@functools.cache
def body() -> str:
    """The kernel of the text, as a program bears it: base64.

    Its grid is 3 x 2. The first block is the same in each step, the second turns with
    the inner axis, the result's with the outer.
    """

    def kernel(x, w, out):
        out[...] = x[...] + w[...].astype(jnp.float32)

    call = pl.pallas_call(
        kernel,
        grid=(3, 2),
        in_specs=[
            pl.BlockSpec((1, 8), lambda i, j: (0, 0)),
            pl.BlockSpec((8, 8), lambda i, j: (j, 0)),
        ],
        out_specs=pl.BlockSpec((8, 8), lambda i, j: (i, 0)),
        out_shape=jax.ShapeDtypeStruct((24, 8), jnp.float32),
    )
    shapes = ((1, 8), jnp.float32), ((16, 8), jnp.bfloat16)
    traced = jax.jit(call).trace(*(jax.ShapeDtypeStruct(*one) for one in shapes))
    text = traced.lower(lowering_platforms=("tpu",)).as_text()
    return re.search(r"body\W+22: \W+22([\w+/=]+)", text).group(1)


TEXT = """\
HloModule jit_step, is_scheduled=true, num_partitions=4

%add.1 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

%layer_of (stack: bf16[3,2,8], at: s32[]) -> bf16[2,8] {
  %stack = bf16[3,2,8]{2,1,0:T(8,128)(2,1)} parameter(0)
  %at = s32[]{:T(128)} parameter(1)
  %zero = s32[] constant(0)
  %part = bf16[1,2,8]{2,1,0:T(8,128)(2,1)} dynamic-slice(%stack, %at, %zero, %zero), \
dynamic_slice_sizes={1,2,8}
  ROOT %flat = bf16[2,8]{1,0:T(8,128)(2,1)} bitcast(%part)
}

%store (saved: f32[3,8], new: f32[1,8], at: s32[]) -> f32[3,8] {
  %saved = f32[3,8]{1,0} parameter(0)
  %new = f32[1,8]{1,0} parameter(1)
  %at = s32[] parameter(2)
  %zero = s32[] constant(0)
  ROOT %all = f32[3,8]{1,0} dynamic-update-slice(%saved, %new, %at, %zero)
}

%body (carry: (s32[], bf16[3,2,8], f32[3,8], /*index=3*/f32[1,8])) -> \
(s32[], bf16[3,2,8], f32[3,8], /*index=3*/f32[1,8]) {
  %carry = (s32[], bf16[3,2,8]{2,1,0}, f32[3,8]{1,0}, /*index=3*/f32[1,8]{1,0}) \
parameter(0)
  %i = s32[] get-tuple-element(%carry), index=0
  %weights = bf16[3,2,8]{2,1,0} get-tuple-element(%carry), index=1
  %kept = f32[3,8]{1,0} get-tuple-element(%carry), index=2
  %x = f32[1,8]{1,0} get-tuple-element(%carry), index=3
  %shard = bf16[2,8]{1,0} fusion(%weights, %i), kind=kLoop, calls=%layer_of
  %gather-start = (bf16[2,8]{1,0}, bf16[8,8]{1,0}) all-gather-start(%shard), \
channel_id=1, replica_groups=[1,4]<=[4], dimensions={0}, use_global_device_ids=true, \
metadata={op_name="jit(step)/blocks/mlp/up"}
  %whole = bf16[8,8]{1,0} all-gather-done(%gather-start)
  %z = f32[24,8]{1,0:T(8,128)} custom-call(%x, %whole), \
custom_call_target="tpu_custom_call", frontend_attributes={kernel_metadata={
"xprof_metadata":"{\\"block_q\\": 512}"
}}, metadata={op_name="jit(step)/splash_mha_fwd"}, \
backend_config={"custom_call_config":{"body":"BODY","needs_layout_passes":true}}
  %y = f32[1,8]{1,0:T(8,128)S(1)} bitcast(%z), frontend_attributes={kernel_metadata={
"xprof_metadata":"{}"
}}, metadata={op_name="jit(step)/splash_mha_fwd"}
  %next = f32[3,8]{1,0} fusion(%kept, %y, %i), kind=kLoop, calls=%store
  %one = s32[] constant(1)
  %i2 = s32[] add(%i, %one)
  ROOT %out = (s32[], bf16[3,2,8]{2,1,0}, f32[3,8]{1,0}, /*index=3*/f32[1,8]{1,0}) \
tuple(%i2, %weights, %next, %y)
}

%cond (carry.1: (s32[], bf16[3,2,8], f32[3,8], /*index=3*/f32[1,8])) -> pred[] {
  %carry.1 = (s32[], bf16[3,2,8]{2,1,0}, f32[3,8]{1,0}, /*index=3*/f32[1,8]{1,0}) \
parameter(0)
  %i.1 = s32[] get-tuple-element(%carry.1), index=0
  %limit = s32[] constant(3)
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

ENTRY %main (p0: bf16[3,2,8], p1: f32[3,8], p2: f32[1,8]) -> f32[3,8] {
  %p0 = bf16[3,2,8]{2,1,0} parameter(0)
  %p1 = f32[3,8]{1,0} parameter(1)
  %p2 = f32[1,8]{1,0} parameter(2)
  %start = s32[] constant(0)
  %init = (s32[], bf16[3,2,8]{2,1,0}, f32[3,8]{1,0}, /*index=3*/f32[1,8]{1,0}) \
tuple(%start, %p0, %p1, %p2)
  %loop = (s32[], bf16[3,2,8]{2,1,0}, f32[3,8]{1,0}, /*index=3*/f32[1,8]{1,0}) \
while(%init), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"3"},"known_init_step":{"init":"0","step":"1"}}
  %grads = f32[3,8]{1,0} get-tuple-element(%loop), index=2
  ROOT %summed = f32[3,8]{1,0} all-reduce(%grads), channel_id=2, \
replica_groups={{0,2},{1,3}}, use_global_device_ids=true, to_apply=%add.1, \
metadata={op_name="jit(step)/grads"}
}
"""
