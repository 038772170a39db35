"""Names of slices, and the published facts behind them."""

import pytest

from babyvlm_jax.aot.chips import CHIPS, parse_slice
from babyvlm_jax.runtime.errors import UserError


@pytest.mark.parametrize(
    ("name", "count", "topology", "cloud", "chips"),
    [
        ("v5e:4x4", 1, "v5e:4x4", "v5litepod-16", 16),
        ("v5litepod-256", 1, "v5e:16x16", "v5litepod-256", 256),
        ("v5e:16x16", 2, "v5e:16x16", "2 x v5litepod-256", 512),
        ("v4-32", 1, "v4:2x2x4", "v4-32", 16),  # cores, two a chip
        ("v5p-16", 1, "v5p:2x2x2", "v5p-16", 8),
        ("v6e:4x4", 1, "v6e:4x4", "v6e-16", 16),
    ],
)
def test_a_slice_has_two_names(name, count, topology, cloud, chips):
    found = parse_slice(name, count)
    assert (found.topology, found.name, found.num_chips) == (topology, cloud, chips)


def test_an_unknown_slice_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"'v5e:3x3' .* known are v4:.* v5e:\{.*4x4"):
        parse_slice("v5e:3x3")
    with pytest.raises(UserError, match="--slices=0"):
        parse_slice("v5e:4x4", 0)


def test_peaks_are_those_of_the_data_sheets():
    facts = {
        name: (chip.flops / 1e12, chip.hbm / 1e9, chip.ici / 1e9)
        for name, chip in CHIPS.items()
    }
    assert facts == {
        "v4": (275, 1200, 300),
        "v5e": (197, 819, 200),
        "v5p": (459, 2765, 600),
        "v6e": (918, 1638, 400),
    }
    assert CHIPS["v5e"].dcn * 256 * 8 == 6.4e12
