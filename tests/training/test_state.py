"""Where the leaves of a training state lie."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from babyvlm_jax import sharding
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.optim import make_tx
from babyvlm_jax.training.state import make_state
from tests import tiny

SPECS = {"a": {"w": ("embed", "mlp"), "scale": ("norm",)}, "b": {"w": (None, "mlp")}}


def test_moments_lie_like_their_parameters_and_the_rest_is_everywhere():
    mesh = tiny.mesh_of(2, 2, 2)
    cfg = OptimConfig(trains=("a/.*",))
    host = {
        "a": {"w": np.ones((4, 4)), "scale": np.ones(4)},
        "b": {"w": np.ones((4, 4))},
    }
    params = jax.device_put(host, sharding.tree_shardings(mesh, SPECS))
    with jax.set_mesh(mesh):
        extra = {"center": jnp.zeros(4)}
        state = make_state(params, extra, make_tx(cfg, 10), cfg.trains, mesh, SPECS)
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    found = {}
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        found[name.replace("opt_state/1/0/", "")] = leaf.sharding.spec
    assert found == {
        "step": P(),
        "skips": P(),
        "params/a/w": P("fsdp", "tensor"),
        "params/a/scale": P(None),
        "params/b/w": P(None, "tensor"),
        "mu/a/w": P("fsdp", "tensor"),
        "mu/a/scale": P(None),
        "nu/a/w": P("fsdp", "tensor"),
        "nu/a/scale": P(None),
        "count": P(),
        "opt_state/1/2/count": P(),
        "extra/center": P(),
    }
    assert int(state.step) == 0
