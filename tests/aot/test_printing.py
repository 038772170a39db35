"""What a person reads."""

import dataclasses

from babyvlm_jax.aot import printing
from tests.aot.checks import FITS, TOO_LARGE


def test_a_program_that_fits():
    assert printing.describe(FITS).splitlines() == [
        "joint: train on v5litepod-16 (v5e:4x4, 16 chips), "
        "mesh data 1 x fsdp 16 x tensor 1",
        "32 rows of 8192 tokens and 41 images in 2 part(s); "
        "remat: vision full, decoder attention",
        "compiled in 60 s",
        "",
        "HBM of a chip, GiB",
        "  arguments        1.00",
        "  temporaries      4.00",
        "  peak             5.00",
        "  limit           15.75",
        "  headroom        10.75",
        "",
        "FLOPs of a step, closed form",
        "  needed by the model    4e+15",
        "  computed again (remat) 1e+15",
        "",
        "collectives of a step       runs   GiB whole    received by a chip",
        "  all-gather                  44       2.000       1.500",
        "  largest all-gather: 0.125 GiB (blocks/mlp/up)",
        "custom kernels: splash_mha_fwd",
        "",
        "roofline, ms: compute 500.0 hbm 100.0 ici 250.0 dcn 0.0",
        "  full overlap: 500.0 ms a step, compute decides; MFU 80%, 64.0 rows/s",
        "  no overlap: 850.0 ms a step, MFU 47%",
    ]


def test_a_program_that_does_not_fit_names_its_buffers():
    text = printing.describe(TOO_LARGE)
    assert "  peak            20.00\n" in text
    assert "  headroom        -4.25\n" in text
    assert "  1. 6.00 GiB f32[2,8192,6016] (HLO temp; loss/logits)\n" in text
    assert "roofline" not in text


def test_a_table():
    decode = dataclasses.replace(FITS, what="decode", accumulate=1)
    assert printing.table([FITS, decode, TOO_LARGE]).splitlines()[2:] == [
        "| v5litepod-16 (16) | joint | data 1 x fsdp 16 x tensor 1 | "
        "vision full, decoder attention | 32 in 2 | 5.00 | 15.75 | 500-850 | "
        "compute | 47-80% |",
        "| v5litepod-16 (16) | joint, decode | data 1 x fsdp 16 x tensor 1 | "
        "vision full, decoder attention | 32 | 5.00 | 15.75 | 500-850 | "
        "compute | 47-80% |",
        "| v5litepod-16 (16) | joint | data 1 x fsdp 16 x tensor 1 | "
        "vision full, decoder attention | 32 | 20.00 | 15.75 | does not fit |  |  |",
    ]


def test_a_whole_run_in_chip_hours():
    told = printing.chip_hours(FITS, 9000)  # 16 chips, 0.5 to 0.85 s a step
    assert told.startswith("estimate for 9000 steps: 20.0 (full overlap) to 34.0 (no ")
    assert printing.chip_hours(TOO_LARGE, 9000) == ""
