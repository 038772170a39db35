"""Reads checkpoints: finds the newest whole one, and the parameters in it."""

import contextlib
import functools
import json
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import Mesh

from babyvlm_jax.models.contrastive import PairModel
from babyvlm_jax.models.vlm import Model
from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.sharding import tree_shardings
from babyvlm_jax.training import settings
from babyvlm_jax.training.checkpoint import whole

FOLDER = settings.CHECKPOINTS
ITEMS = ("params", "train", "data")


def whole_steps(folder) -> tuple[list[int], dict[int, str]]:
    """Steps of the checkpoints that are whole by their sizes, and what the others lack.

    Args:
        folder: `WORKDIR/checkpoints`.
    """
    folder = epath.Path(folder)
    names = folder.iterdir() if folder.exists() else ()
    steps = sorted(int(path.name) for path in names if path.name.isdigit())
    faults = {step: whole.fault(folder / str(step)) for step in steps}
    return (
        [step for step in steps if faults[step] is None],
        {step: why for step, why in faults.items() if why is not None},
    )


def newest_whole(folder, items=ITEMS) -> tuple[int | None, dict[int, str]]:
    """The newest checkpoint whose files are as they were written; all processes ask.

    Each process reads its share of the files, so that each byte crosses the network
    once, whatever the number of processes.

    Args:
        folder: `WORKDIR/checkpoints`.
        items: what is to be read of it.

    Returns:
        Its step, or None, and what is wrong with others.
    """
    steps, told = processes.on_first(lambda: _listed_steps(folder))
    faults = dict(told)
    while steps:
        why = damage(epath.Path(folder) / str(steps[-1]), items)
        if why is None:
            return steps[-1], faults
        faults[steps.pop()] = why
    return None, faults


def _listed_steps(folder):
    steps, faults = whole_steps(folder)
    return steps, list(faults.items())


def damage(path, items=ITEMS) -> str | None:
    """`whole.damage` by all processes together, each of its share of the files."""
    place = jax.process_index(), jax.process_count()
    found = processes.on_all(lambda: whole.damage(path, items, *place))
    why = next(filter(None, found), None)
    if items and why is None and not whole.has_hashes(path):
        processes.say(
            f"{path} has no stored hashes, as the first edition wrote it: a changed "
            "bit would not be seen; `python -m babyvlm_jax.convert upgrade` stores them"
        )
    return why


def absolute(path: epath.Path) -> epath.Path:
    """The path as Orbax wants it; `resolve` would take gs:// for a folder's name."""
    return path if "://" in str(path) else path.resolve()


def newest_step(workdir, items=("params",)) -> int:
    """The newest whole checkpoint of a work directory; reads its files to tell.

    Says which newer ones it passes over.

    Args:
        items: what will be read; () to look at sizes only.

    Raises:
        UserError: there is none.
    """
    folder = epath.Path(workdir) / FOLDER
    step, faults = newest_whole(folder, items)
    if step is None:
        told = "".join(f"; {step} is not whole: {faults[step]}" for step in faults)
        raise UserError(
            f"no checkpoint in {folder}{told}; train that phase first, or give another "
            "folder"
        )
    for newer in sorted(faults):
        if newer > step:
            processes.say(
                f"{folder}/{newer} is not whole ({faults[newer]}); taking step {step}"
            )
    return step


def check_source(part: str, source: str, abstract: Any) -> None:
    """Whether a part of the model can start from `source`; reads no array.

    Args:
        part: the part's name.
        source: as in `warm_start`.
        abstract: tree of the part's shapes.

    Raises:
        UserError: no whole checkpoint is there, or it is of another architecture.
    """
    workdir, prefix = settings.split_source(part, source)
    path = _params_path(workdir, newest_step(workdir, items=()))
    with _read_by_orbax(path) as reader:
        check_leaves(path, prefix, _leaves_there(reader, path, prefix), abstract)


def _params_path(workdir, step: int) -> epath.Path:
    return absolute(epath.Path(workdir) / FOLDER / str(step) / "params")


@contextlib.contextmanager
def _read_by_orbax(path: epath.Path) -> Iterator[ocp.Checkpointer]:
    """Orbax's reader of an item of a checkpoint, `WORKDIR/checkpoints/STEP/ITEM`.

    Where hashes told that the files are as they were written, what goes wrong is no
    fault of theirs. Where the list has none, a damaged file raises anything.

    Raises:
        UserError: it cannot be read, and the list has no hashes.
    """
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        try:
            yield reader
        except UserError:
            raise
        except Exception as error:
            if whole.has_hashes(path.parent):
                raise
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(
                f"{path} cannot be read ({why}); bring it back from a copy, or remove "
                f"{path.parent} and use an older one"
            ) from error


def read_facts(workdir, step: int) -> dict[str, str]:
    """What a checkpoint says of the data that it was trained on; see `data.identity`.

    Weights that were imported by the first edition have no such facts.
    """
    path = epath.Path(workdir) / FOLDER / str(step) / "data" / "metadata"
    if not path.exists():
        return {}
    try:
        return {name: str(fact) for name, fact in json.loads(path.read_text()).items()}
    except (ValueError, RecursionError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged ({error}); bring it back from a copy"
        ) from None


def _leaves_there(reader: ocp.Checkpointer, path: epath.Path, prefix: str) -> Any:
    """The tree under `prefix`, from the metadata; all of it if that is empty."""
    there = reader.metadata(path).item_metadata.tree
    for key in filter(None, prefix.split("/")):
        if key not in there:
            raise UserError(f"{path} holds no {prefix!r}; it has {sorted(there)}")
        there = there[key]
    return there


def restore_params(workdir, step: int, prefix: str, abstract: Any) -> Any:
    """Parameters under `prefix` of a checkpoint, laid out like `abstract`.

    Args:
        abstract: tree of ShapeDtypeStruct with shardings.

    Raises:
        UserError: a leaf is missing or has another shape; the message names it.
    """
    return restore_item(_params_path(workdir, step), prefix, abstract)


def restore_item(path: epath.Path, prefix: str, abstract: Any) -> Any:
    """The tree under `prefix` of one item of a checkpoint; see `restore_params`.

    Args:
        path: `WORKDIR/checkpoints/STEP/ITEM`.
        prefix: "" for the whole tree.
        abstract: as `restore_params`.
    """
    keys = [key for key in prefix.split("/") if key]
    with _read_by_orbax(path) as reader:
        check_leaves(path, prefix, _leaves_there(reader, path, prefix), abstract)
        wanted = functools.reduce(lambda tree, key: {key: tree}, keys[::-1], abstract)
        found = reader.restore(
            path,
            args=ocp.args.PyTreeRestore(
                item=wanted,
                restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
                partial_restore=True,
            ),
        )
    return functools.reduce(lambda tree, key: tree[key], keys, found)


def check_leaves(path, prefix: str, there: Any, abstract: Any) -> None:
    """Raises UserError, with the leaf's name, unless all shapes are the same.

    Args:
        path: the checkpoint, for the message.
        prefix: of the leaves' names.
        there: the checkpoint's tree, from its metadata.
        abstract: the tree that it is to become.
    """

    def shapes(tree):
        leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
        return {
            jax.tree_util.keystr(k, simple=True, separator="/"): tuple(leaf.shape)
            for k, leaf in leaves
        }

    saved, wanted = shapes(there), shapes(abstract)
    for name in sorted(saved.keys() | wanted.keys()):
        if saved.get(name) != wanted.get(name):
            raise UserError(
                f"{path}: {prefix}/{name} has shape {saved.get(name)}, here it is "
                f"{wanted.get(name)}; use the config.model and config.optim of the run "
                "that wrote it"
            )


def abstract_params(model: Model | PairModel, mesh: Mesh, parts=None) -> Any:
    """Parameters as shapes with shardings; nothing is allocated.

    Args:
        parts: top-level parts; None for all.
    """
    parts = (parts,) if parts else ()
    shapes = model.shapes(*parts)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding
        ),
        shapes,
        tree_shardings(mesh, model.param_specs(*parts)),
    )


def warm_start(abstract: Any, sources: dict[str, str]) -> dict[str, Any]:
    """Reads whole parts of the model from other work directories.

    Args:
        abstract: from `abstract_params`.
        sources: part -> `WORKDIR[:PREFIX]`; see `settings.TrainSettings`.

    Returns:
        part -> parameters, for the parts in `sources`.
    """
    params, steps = {}, {}
    for part, source in sources.items():
        workdir, prefix = settings.split_source(part, source)
        if workdir not in steps:
            steps[workdir] = newest_step(workdir)
        params[part] = restore_params(workdir, steps[workdir], prefix, abstract[part])
    return params


def begin(
    model: Model | PairModel, mesh: Mesh, parts: tuple[str, ...], key, sources
) -> dict[str, Any]:
    """Parameters of a new run: from earlier phases where it names one, else drawn.

    Args:
        model: or another thing with its functions `init`, `shapes`, `param_specs`.
        parts: top-level parts that there are.
        sources: as in `warm_start`.
    """
    abstract = abstract_params(model, mesh, parts)
    params = warm_start(abstract, sources)
    drawn = tuple(part for part in parts if part not in params)
    if drawn:
        shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
        init = jax.jit(
            lambda key: model.init(key, drawn),
            out_shardings={part: shardings[part] for part in drawn},
        )
        params |= init(key)
    return params
