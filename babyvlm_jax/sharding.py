"""Mesh, the one table of logical axes, and what follows from it.

Weights name their dimensions next to their shapes (`partitioned`), activations pass
`constrain` at block borders; both look their mesh axes up in `AXIS_RULES`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import (
    AbstractDevice,
    AbstractMesh,
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    use_abstract_mesh,
)

from babyvlm_jax.runtime.errors import UserError

MESH_AXES = ("data", "fsdp", "tensor")

AXIS_RULES: dict[str, str | tuple[str, ...] | None] = {
    # activations
    "batch": ("data", "fsdp"),
    "length": None,
    "act_embed": None,
    "act_heads": "tensor",
    "act_mlp": "tensor",
    "act_vocab": "tensor",
    # weights
    "layers": None,
    "embed": "fsdp",
    "heads": "tensor",
    "kv_heads": "tensor",
    "mlp": "tensor",
    # The table's model dim stays whole: sharding it makes XLA replicate the gather.
    "vocab": ("fsdp", "tensor"),
    "patch": None,
    "position": None,
    "norm": None,
    "prototypes": "tensor",
}


def make_mesh(sizes: Mapping[str, int], devices: Sequence[Any] | None = None) -> Mesh:
    """Builds the mesh; one size may be -1 and takes the remaining devices.

    Devices of several slices are laid out so that only `data` crosses the network
    between slices, which is slower than that within one.

    Args:
        sizes: devices along each of `MESH_AXES`.
        devices: defaults to all devices of all processes.

    Raises:
        UserError: unknown axes, sizes that do not multiply to the device count, or a
            `data` axis that is not divisible by the slices.
    """
    devices = jax.devices() if devices is None else devices
    slices = count_slices(devices)
    shape = mesh_shape(sizes, len(devices), slices)
    types = (AxisType.Auto,) * len(MESH_AXES)
    if slices == 1:
        grid = mesh_utils.create_device_mesh(
            shape, devices, allow_split_physical_axes=True
        )
    else:
        grid = mesh_utils.create_hybrid_device_mesh(
            (shape[0] // slices, *shape[1:]),
            (slices, 1, 1),
            devices,
            allow_split_physical_axes=True,
        )
    return Mesh(grid, MESH_AXES, axis_types=types)


def mesh_shape(
    sizes: Mapping[str, int], num_devices: int, slices: int = 1
) -> tuple[int, ...]:
    """Devices along each of `MESH_AXES`, the one that is -1 filled in.

    Args:
        sizes: as in `make_mesh`, and so are the errors.
        num_devices: of all slices.
        slices: to which the devices belong.
    """
    if set(sizes) != set(MESH_AXES):
        raise UserError(f"config.mesh has axes {sorted(sizes)}, expected {MESH_AXES}")
    shape = [sizes[axis] for axis in MESH_AXES]
    if shape.count(-1) == 1:
        fixed = int(np.prod([n for n in shape if n != -1]))
        shape[shape.index(-1)] = num_devices // fixed if fixed else 0
    if int(np.prod(shape)) != num_devices or min(shape) < 1:
        raise UserError(
            f"config.mesh {dict(sizes)} does not fit {num_devices} devices; make the "
            "product of its sizes equal to that, or set one of them to -1"
        )
    if shape[0] % slices:
        raise UserError(
            f"config.mesh.data {shape[0]} is not divisible by the {slices} slices that "
            f"the devices belong to; set config.mesh.data to a multiple of {slices}"
        )
    return tuple(shape)


def make_abstract_mesh(
    sizes: Mapping[str, int], num_devices: int, platform: str, slices: int = 1
) -> AbstractMesh:
    """The mesh of devices that are not here: enough for shapes, not for arrays.

    Args:
        sizes, num_devices, slices: as in `mesh_shape`, and so are the errors.
        platform: `cpu`, `gpu` or `tpu`.
    """
    types = (AxisType.Auto,) * len(MESH_AXES)
    device = AbstractDevice(platform, None, platform)
    shape = mesh_shape(sizes, num_devices, slices)
    return AbstractMesh(shape, MESH_AXES, types, abstract_device=device)


def within(mesh: Mesh | AbstractMesh):
    """A context in which the mesh, which may be abstract, is set."""
    if isinstance(mesh, AbstractMesh):
        return use_abstract_mesh(mesh)
    return jax.set_mesh(mesh)


def count_slices(devices: Sequence[Any]) -> int:
    """How many TPU slices the devices belong to; other devices count as one."""
    tpus = [d for d in devices if d.platform == "tpu" and hasattr(d, "slice_index")]
    return max(1, len({d.slice_index for d in tpus}))


def batch_ways(mesh) -> int:
    """Devices, or groups of them, that each have rows of their own."""
    return int(np.prod([mesh.shape[axis] for axis in AXIS_RULES["batch"]]))


def check_batch(
    batch_size: int, mesh: Mesh, field: str = "config.data.batch_size"
) -> None:
    """Raises UserError unless the batch, which `field` sets, divides over the mesh."""
    ways = batch_ways(mesh)
    if batch_size % ways:
        raise UserError(
            f"batch of {batch_size} rows is not divisible by data x fsdp = {ways}; "
            f"set {field} to a multiple, or change config.mesh"
        )


def spec(*names: str | None) -> PartitionSpec:
    """Partition spec of dimensions with the given logical names (None: whole)."""
    return PartitionSpec(*(AXIS_RULES[name] if name else None for name in names))


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
    """Pins an activation's layout; dims carry the given logical names.

    Raises:
        RuntimeError: no mesh is set around the jitted call.
    """
    if jax.sharding.get_abstract_mesh().empty:
        raise RuntimeError("constrain() needs jax.set_mesh(mesh) around the call")
    return jax.lax.with_sharding_constraint(x, spec(*names))


def platform_of_mesh() -> str:
    """`cpu`, `gpu` or `tpu`: what the mesh that is set consists of.

    It can differ from this machine's: programs are compiled for slices elsewhere.

    Raises:
        RuntimeError: no mesh is set.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty:
        raise RuntimeError(
            "platform_of_mesh() needs jax.set_mesh(mesh) around the call"
        )
    return mesh.abstract_device.platform


def partitioned(init, *names: str | None):
    """Declares a parameter's logical axis names next to its initialiser."""
    return nn.with_logical_partitioning(init, names)


def axis_names(boxed: Any) -> Any:
    """Tree of each parameter's logical axis names.

    Args:
        boxed: parameters, or their shapes, that were declared with `partitioned`.
    """
    return jax.tree.map(
        lambda leaf: tuple(leaf.names),
        boxed,
        is_leaf=lambda leaf: isinstance(leaf, nn.Partitioned),
    )


def tree_shardings(mesh: Mesh, names_tree: Any) -> Any:
    """Tree of logical-name tuples -> tree of shardings on `mesh`."""
    return jax.tree.map(
        lambda names: NamedSharding(mesh, spec(*names)),
        names_tree,
        is_leaf=lambda leaf: isinstance(leaf, tuple),
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sharding of every array of a batch: first dimension over the batch axes."""
    return NamedSharding(mesh, spec("batch"))


def put_batch(mesh: Mesh, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """This process's slice of a batch -> global device arrays."""
    sharding = batch_sharding(mesh)
    return {
        key: jax.make_array_from_process_local_data(sharding, value)
        for key, value in batch.items()
    }
