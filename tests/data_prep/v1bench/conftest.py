"""One bank of the coloured world for all tests."""

import numpy as np
import pytest

from tests.data_prep.v1bench.world import make_bank


@pytest.fixture(scope="session")
def bank(tmp_path_factory):
    return make_bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture
def rng():
    return np.random.default_rng(7)
