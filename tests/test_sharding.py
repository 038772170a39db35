"""Mesh sizes, the table of logical axes, and a rule for every parameter."""

import dataclasses

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.sharding import PartitionSpec as P

from babyvlm_jax import sharding
from babyvlm_jax.models import dino
from babyvlm_jax.models.config import DinoConfig, VLMConfig
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from tests import tiny
from tests.chosen import some


@pytest.mark.usefixtures("eight_devices")
def test_the_free_axis_takes_the_remaining_devices():
    mesh = sharding.make_mesh({"data": 2, "fsdp": -1, "tensor": 2})
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 2}


@pytest.mark.usefixtures("eight_devices")
@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ({"data": 3, "fsdp": 1, "tensor": 1}, "does not fit 8 devices"),
        ({"data": -1, "fsdp": 3, "tensor": 1}, "does not fit 8 devices"),
        ({"data": -1, "fsdp": -1, "tensor": 1}, "does not fit 8 devices"),
        ({"data": 0, "fsdp": -1, "tensor": 1}, "does not fit 8 devices"),
        ({"data": 8}, "has axes ['data']"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(sizes, named):
    with pytest.raises(UserError) as told:
        sharding.make_mesh(sizes)
    assert named in str(told.value)


@dataclasses.dataclass(frozen=True)
class Chip:
    """A TPU v4 chip that is not there."""

    id: int
    slice_index: int
    coords: tuple[int, int, int]
    core_on_chip: int = 0
    platform: str = "tpu"
    device_kind: str = "TPU v4"
    process_index: int = 0


def slices(num_slices, sides):
    """Chips of several slices, mixed as no runtime would promise an order."""
    places = [(*place, s) for place in np.ndindex(sides) for s in range(num_slices)]
    chips = [Chip(i, place[3], place[:3]) for i, place in enumerate(places)]
    return chips[::-1]


def test_only_data_crosses_between_slices():
    mesh = sharding.make_mesh(
        {"data": 4, "fsdp": -1, "tensor": 2}, slices(2, (2, 4, 1))
    )
    assert dict(mesh.shape) == {"data": 4, "fsdp": 2, "tensor": 2}
    found = np.vectorize(lambda chip: chip.slice_index)(mesh.devices)
    # the first half of data is one slice, the second half the other
    assert found.reshape(2, -1).tolist() == [[0] * 8, [1] * 8]
    assert len({chip.id for chip in mesh.devices.flat}) == 16


def test_data_must_divide_over_the_slices():
    with pytest.raises(UserError) as told:
        sharding.make_mesh({"data": 1, "fsdp": -1, "tensor": 1}, slices(2, (2, 2, 1)))
    assert "config.mesh.data 1 is not divisible by the 2 slices" in str(told.value)
    with pytest.raises(UserError, match="to a multiple of 3"):
        sharding.make_mesh({"data": 2, "fsdp": -1, "tensor": 1}, slices(3, (2, 2, 1)))


def test_a_batch_divides_over_data_and_fsdp():
    mesh = tiny.mesh_of(2, 2, 2)
    sharding.check_batch(8, mesh)
    with pytest.raises(UserError, match=r"batch of 6 rows .* data x fsdp = 4"):
        sharding.check_batch(6, mesh)


def test_spec_looks_names_up():
    assert sharding.spec("embed", None, "mlp") == P("fsdp", None, "tensor")
    assert sharding.spec("batch", "length") == P(("data", "fsdp"), None)
    with pytest.raises(KeyError):
        sharding.spec("colour")


def test_constrain_needs_a_mesh():
    with pytest.raises(RuntimeError, match="set_mesh"):
        sharding.constrain(np.zeros((2, 2)), "batch", None)


def test_the_platform_is_that_of_the_mesh_that_is_set():
    with pytest.raises(RuntimeError, match="set_mesh"):
        sharding.platform_of_mesh()
    with jax.set_mesh(tiny.mesh_of()):
        assert sharding.platform_of_mesh() == "cpu"


def test_put_batch_lays_rows_over_the_batch_axes():
    mesh = tiny.mesh_of(2, 2, 2)
    rows = np.arange(8).reshape(8, 1)
    placed = sharding.put_batch(mesh, {"rows": rows})["rows"]
    np.testing.assert_array_equal(placed, rows)
    sizes = {shard.data.shape for shard in placed.addressable_shards}
    assert sizes == {(2, 1)}


MODELS = {**tiny.FORMS, "v2": VLMConfig()}


@pytest.mark.parametrize("name", some(sorted(MODELS), ("nursery",)))
def test_every_parameter_is_named_by_a_rule(name):
    model = make_model(MODELS[name])
    with jax.set_mesh(tiny.mesh_of()):
        params = jax.eval_shape(model.init, jax.random.key(0))
        check_rules(params, model.param_specs())


def test_every_parameter_of_the_dino_head_is_named_by_a_rule():
    cfg = DinoConfig(num_prototypes=64)
    with jax.set_mesh(tiny.mesh_of()):
        student = dino.make_student(tiny.VISION, cfg)
        check_rules(student.shapes(), student.param_specs())


def check_rules(params, specs):
    """One name a dimension, all in the table, no mesh axis twice, sizes that divide.

    Sizes are checked against a mesh of two devices an axis.
    """
    shapes, names = flatten_dict(params, sep="/"), flatten_dict(specs, sep="/")
    assert shapes.keys() == names.keys()
    for path, leaf in shapes.items():
        assert len(names[path]) == leaf.ndim, path
        used = []
        for size, axes in zip(leaf.shape, sharding.spec(*names[path]), strict=True):
            axes = (axes,) if isinstance(axes, str) else axes or ()
            used += axes
            assert size % 2 ** len(axes) == 0, path
        assert len(set(used)) == len(used), path
        if path.endswith("/w"):
            assert used, f"{path} would be whole on every device"
