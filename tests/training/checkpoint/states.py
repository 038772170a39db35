"""States that are saved and restored."""

import jax
import numpy as np

from babyvlm_jax import sharding
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.optim import make_tx
from babyvlm_jax.training.state import make_state
from tests import tiny

FORM = "official"
OPTIM = OptimConfig(trains=("connector/.*",))
MESH = (2, 2, 2)
FACTS = {"datasets": "pairs 12ab", "tokenizer": "34cd", "order": "56ef"}


def place(host, mesh, add=0.0):
    """A state on `mesh` around the weights plus a number."""
    specs = tiny.bench(FORM).model.param_specs()
    host = jax.tree.map(lambda leaf: leaf + np.float32(add), host)
    params = jax.device_put(host, sharding.tree_shardings(mesh, specs))
    tx = make_tx(OPTIM, 10)
    return make_state(params, {}, tx, OPTIM.trains, mesh, specs)


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
