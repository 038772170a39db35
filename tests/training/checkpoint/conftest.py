"""A checkpoint of a tiny model, written on one device."""

import jax
import numpy as np
import pytest

from babyvlm_jax.training.checkpoint import Checkpoints
from tests import tiny
from tests.training.checkpoint.states import FACTS, FORM, place


@pytest.fixture(scope="module")
def host():
    return jax.tree.map(np.array, tiny.bench(FORM).params)


@pytest.fixture(scope="module")
def saved(host, tmp_path_factory):
    """Work directory with a checkpoint of step 3, written on one device."""
    folder = tmp_path_factory.mktemp("saved")
    with jax.set_mesh(tiny.mesh_of()), Checkpoints(folder) as checkpoints:
        checkpoints.save(3, place(host, tiny.mesh_of()), FACTS)
        other = place(host, tiny.mesh_of(), add=9.0)
        checkpoints.save(3, other, FACTS)  # left alone
    return folder
