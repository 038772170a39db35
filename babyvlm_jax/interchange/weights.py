"""Files of torch weights, read leaf by leaf; no pickle is ever executed.

safetensors files are mapped into memory. `.bin`, `.pth` and `.pt` files are pickles:
torch's weights-only reader takes their tensors, and refuses what else they hold.
"""

import argparse
import functools
import os
import pathlib
import pickle
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import safetensors

from babyvlm_jax.interchange.foreign import read_section
from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault
from babyvlm_jax.runtime.json_fields import shown

PICKLES = (".bin", ".pth", ".pt")
FLOATS = ("F64", "F32", "F16", "BF16")
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
# What training pipelines wrap the weights in, the one to take first.
CONTAINERS = ("teacher", "state_dict", "model", "model_state_dict")
# What torch's reader raises for a file that is cut short or has other bytes.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
_NEEDED = re.compile(r"GLOBAL (\S+) was not an allowed global")
_SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)\.(safetensors|bin)")


class Leaf(NamedTuple):
    """A tensor in a file.

    Attributes:
        shape, dtype: `dtype` in safetensors' words, as F32 or BF16.
        read: makes the array, f32 where the file has another float.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


def open_weights(path: str | pathlib.Path) -> dict[str, Leaf]:
    """Finds the leaves of a file, or of a folder's shards, without reading them.

    Raises:
        UserError: no weights there, a shard is missing or cut short, or a file needs
            more than tensors.
    """
    path = pathlib.Path(path)
    if not path.is_dir() and path.exists():
        return _open_file(path)
    if not path.is_dir():
        raise UserError(f"{path} is neither a file nor a folder of weights")
    for name in INDICES:
        if (path / name).exists():
            return _open_indexed(path, _read_index(path / name))
    for suffix in ("safetensors", "bin"):
        files = sorted(path.glob(f"*.{suffix}"))
        files = [file for file in files if file.name != "training_args.bin"]
        _check_numbers(path, files)
        if files:
            opened = [_open_file(file) for file in files]
            return functools.reduce(lambda all_, more: all_ | more, opened)
    raise UserError(
        f"{path} holds no weights; expected *.safetensors or *.bin files in it"
    )


def _read_index(path) -> dict[str, str]:
    """Leaf -> file, which lies in the folder of the index."""
    index = read_section(path)
    if "weight_map" not in index:
        raise UserError(f"{path} is not an index of shards: it has no weight_map")
    shard_of = index.section("weight_map")
    for leaf in shard_of.values:
        name = shard_of.text(leaf)
        if pathlib.PurePath(name).name != name:
            raise UserError(
                f"{path}: weight_map names {shown(name)}; expected the name of a file "
                "in the same folder"
            )
    return dict(shard_of.values)


def _open_indexed(folder, shard_of: Mapping[str, str]) -> dict[str, Leaf]:
    files = sorted(set(shard_of.values()))
    missing = [name for name in files if not os.path.exists(folder / name)]
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} of {len(files)} shards that its index names are "
            f"missing, the first {shown(missing[0])}; fetch it again"
        )
    opened = {name: _open_file(folder / name) for name in files}
    for leaf, name in shard_of.items():
        if leaf not in opened[name]:
            raise UserError(f"{folder / name} lacks {leaf!r}, which its index names")
    return {leaf: opened[name][leaf] for leaf, name in shard_of.items()}


def _check_numbers(folder, files) -> None:
    """Shards without an index at least say how many they are."""
    numbered = [found for file in files if (found := _SHARD.fullmatch(file.name))]
    for found in numbered:
        there = {int(other[2]) for other in numbered if other[1] == found[1]}
        missing = sorted(set(range(1, int(found[3]) + 1)) - there)
        if missing:
            raise UserError(
                f"{folder}: shard {missing[0]} of {int(found[3])} is missing"
            )


def _open_file(path) -> dict[str, Leaf]:
    check_file(path)
    try:
        path.open("rb").close()  # the libraries call any refusal a missing file
    except OSError as error:
        raise_system_fault(error, path, about_file=True)
        raise
    if path.suffix == ".safetensors":
        return _open_safetensors(path)
    if path.suffix in PICKLES:
        return _open_pickle(path)
    raise UserError(
        f"{path}: expected a .safetensors file, or one of {', '.join(PICKLES)}"
    )


def _open_safetensors(path) -> dict[str, Leaf]:
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return {name: _leaf(path, file, name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise_system_fault(error, path, about_file=True)
        why = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is not a whole safetensors file ({why}); fetch it again"
        ) from None


def _leaf(path, file, name) -> Leaf:
    def read():
        # Opened each time, or pages of all shards would stay in memory.
        with safetensors.safe_open(path, "numpy") as again:
            return _as_f32(again.get_tensor(name))

    view = file.get_slice(name)
    return Leaf(tuple(view.get_shape()), view.get_dtype(), read)


def _as_f32(array: np.ndarray) -> np.ndarray:
    kind = array.dtype.name
    return array.astype(np.float32) if "float" in kind and kind != "float32" else array


def _open_pickle(path) -> dict[str, Leaf]:
    try:
        import torch
    except ImportError:
        raise UserError(
            f"{path} is a torch file, and torch is not installed; "
            "pip install 'babyvlm_jax[torch]', or convert it to safetensors"
        ) from None
    try:
        # A namespace of arguments is plain data, and DINO's checkpoints hold one.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = _load(torch, path)
    except _DAMAGE as error:
        raise_system_fault(error, path, about_file=True)
        raise UserError(f"{path}: {_refusal(error)}") from None
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not named weights")
    return {
        name: _tensor(value)
        for name, value in content.items()
        if isinstance(value, torch.Tensor)
    }


def _load(torch, path):
    options = {"map_location": "cpu", "weights_only": True}
    try:
        return torch.load(path, mmap=True, **options)
    except RuntimeError as error:
        if "mmap can only be used" not in str(error):
            raise
        return torch.load(path, **options)  # written before torch 1.6


def _refusal(error: Exception) -> str:
    """What to do about a file that torch's weights-only reader refused."""
    text = " ".join(str(error).split())
    needed = _NEEDED.search(text)
    if needed:
        return (
            f"reading it would run {needed[1]} from its pickle, which is refused; "
            "save its weights alone, or as safetensors"
        )
    return f"torch's weights-only reader cannot read it ({text[:100]}); fetch it again"


def _tensor(value) -> Leaf:
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    kind = str(value.dtype).removeprefix("torch.")

    def read():
        return (value.float() if kind in names else value).numpy()

    return Leaf(tuple(value.shape), names.get(kind, kind), read)
