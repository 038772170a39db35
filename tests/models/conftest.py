"""Model tests run on a mesh of one device, as `constrain` needs a mesh."""

import jax
import pytest

from tests import tiny


@pytest.fixture(autouse=True)
def one_device():
    with jax.set_mesh(tiny.mesh_of()):
        yield
