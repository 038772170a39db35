"""Seconds from work and rates."""

import pytest

from babyvlm_jax.aot.chips import CHIPS
from babyvlm_jax.aot.roofline import Work, roofline


def test_the_slowest_resource_decides():
    work = Work(flops=197e12, model_flops=98.5e12, hbm=819e8, ici=400e9, dcn=3.125e9)
    found = roofline(CHIPS["v5e"], work)
    assert found == pytest.approx((1.0, 0.1, 2.0, 1.0, 0.5))
    assert found.bound == "ici"
    assert (found.full_overlap, found.no_overlap) == (2.0, pytest.approx(4.1))
    assert found.mfu == pytest.approx((0.5 / 4.1, 0.25))


def test_no_published_rate_is_no_wait():
    found = roofline(CHIPS["v6e"], Work(918e12, 918e12, 0, 0, 1e12))
    assert (found.dcn, found.bound, found.mfu) == (0.0, "compute", (1.0, 1.0))
