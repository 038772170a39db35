"""Bytes to and from HBM of a program that is written out."""

from babyvlm_jax.aot import hlo, kernels, traffic
from tests.aot.hlo_text import TEXT, body


def test_bytes_by_hand():
    each_turn = (
        (32 + 4 + 32)  # shard: a layer's slice and its number read, the slice written
        + (32 + 128)  # gather: a shard read, the whole written
        # kernel: x once, another block of w in each of 3 x 2 steps, three blocks given
        + (32 + 6 * 128 + 3 * 256)
        + (4 + 32)  # next: the number read, one row written in place
        + (4 + 4 + 4)  # i + 1
    )
    after = 96 + 96  # all-reduce
    condition = 4 + 4 + 1
    assert (
        traffic.hbm_bytes(hlo.parse(TEXT.replace("BODY", body())))
        == 3 * each_turn + condition + after
    )


def test_a_kernel_is_read_from_its_body():
    assert kernels.names(hlo.parse(TEXT)) == ("jit(step)/splash_mha_fwd",)
    assert kernels.read_body(body()) == kernels.Kernel(
        grid=(3, 2),
        num_scalars=0,
        windows=(
            kernels.Window((1, 8), 1),
            kernels.Window((8, 8), 6),
            kernels.Window((8, 8), 3),
        ),
    )
