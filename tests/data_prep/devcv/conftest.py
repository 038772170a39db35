"""One bank of the little world for all task tests."""

import numpy as np
import pytest

from data_prep.devcv.items import Style
from tests.data_prep.devcv.world import make_bank


@pytest.fixture(scope="session")
def bank(tmp_path_factory):
    return make_bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def style():
    return Style(prompts="ego4d", image_side=32)
