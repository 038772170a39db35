"""Finds the tasks of a released DevCV set and imports each as a dataset.

Layouts: `TASK/data.json`, `TASK/SPLIT.json`, `TASK/TASK_SPLIT.json` or
`SPLIT/TASK/data.json` with `images/` beside each file, one task's folder alone, and
`TASK_SPLIT.json` with `images/` beside them.
"""

import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babyvlm_jax.runtime.errors import SystemFault, UserError
from data_prep import raw
from data_prep.devcv import names
from data_prep.devcv.names import dataset_name
from data_prep.devcv.released import Released
from data_prep.importing.engine import Import, run_import
from data_prep.importing.reading import Input


@dataclasses.dataclass(frozen=True)
class Found:
    """One file of items: a split of a task."""

    task: str
    split: str
    path: Path


@dataclasses.dataclass(frozen=True)
class Wanted:
    """How to import.

    Attributes:
        source: the corpus, part of the datasets' names; "" for none.
        strict: the first item that cannot be used ends the import.
        keep_unanswerable: see `released.Released`.
        num_processes: that convert.
    """

    source: str
    strict: bool = False
    keep_unanswerable: bool = False
    num_processes: int = 1


def find_sets(
    root: str | Path, split: str, renamed: Mapping[str, str]
) -> tuple[list[Found], list[str]]:
    """Lists the tasks below a folder.

    Args:
        root: folder of a set, or of one of its tasks.
        split: of files whose name tells none.
        renamed: name of a file or folder -> task, where ours does not guess it.

    Returns:
        The files, sorted by task and split, and a line for each JSON file left out.

    Raises:
        UserError: nothing is found, or two files are the same split of a task.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"--from={root}: no such folder")
    found, problems = [], []
    for path, folders in _files(root):
        name, task, its_split = _place(path, folders, root.resolve(), renamed)
        if task is None:
            problems.append(
                f"{path}: {name!r} is no task that is known; give --task={name}=TASK"
            )
            continue
        found.append(Found(task, its_split or split, path))
    if not found:
        told = f" ({problems[0]})" if problems else ""
        raise UserError(
            f"--from={root}: no DevCV items; expected TASK/data.json or "
            f"TASK_test.json beside images/{told}"
        )
    found.sort(key=lambda one: (one.task, one.split, one.path))
    for one, other in itertools.pairwise(found):
        if (one.task, one.split) == (other.task, other.split):
            raise UserError(
                f"{one.path} and {other.path} are both {one.task}, {one.split}; give "
                "--task=NAME=TASK for one of them, or import them with other --source"
            )
    return found, problems


def _files(root: Path):
    """Every JSON file that may hold items: beside, or up to two folders below."""
    found = [path for depth in ("*", "*/*", "*/*/*") for path in root.glob(depth)]
    for path in sorted(found):
        folders = path.relative_to(root).parts[:-1]
        is_other = path.stem.lower() == "manifest" or any(
            name == "images" or name.startswith(".") for name in folders
        )
        if path.suffix == ".json" and not is_other and path.is_file():
            yield path, folders


def _place(path, folders, root, renamed) -> tuple[str, str | None, str]:
    """(name that tells the task, the task if it is known, the split or "").

    The file's name says both, or else the folders above, the nearest first:
    `vdr/binary_test.json`, `test/vdr-binary/data.json`.
    """
    above = [*reversed(folders)]
    rest, split = names.words_and_split(path.stem)
    splits = [split, *(names.words_and_split(name)[1] for name in above)]
    if root.name in raw.SPLITS:
        splits.append(root.name)
    split = next(filter(None, splits), "")
    above = [name for name in (*above, root.name) if names.words_and_split(name)[0]]
    nearest = above[0] if above else path.stem
    told = (path.stem, path.stem.removesuffix(f"_{split}"), *folders)
    for name in told:
        if name in renamed:
            return name, renamed[name], split
    if not rest:
        return nearest, renamed.get(nearest) or names.task_named(nearest), split
    task = names.task_named(rest) or names.task_named(f"{nearest}_{rest}")
    return path.stem, task, split


def import_sets(
    found: Sequence[Found], out: Path, wanted: Wanted
) -> tuple[list[dict[str, Any]], list[str]]:
    """Imports every file; one that gives nothing does not end the others.

    Returns:
        The summaries (see `engine.run_import`), and a line for each file that failed.

    Raises:
        UserError: with `wanted.strict`, the first failure.
    """
    summaries, failures = [], []
    for one in found:
        try:
            summaries.append(run_import(_job(one, out, wanted)))
        except SystemFault:
            raise
        except UserError as error:
            if wanted.strict:
                raise
            failures.append(f"{one.task}/{one.split}: {error}")
    return summaries, failures


def _job(one: Found, out: Path, wanted: Wanted) -> Import:
    folder = Path(os.path.realpath(one.path.parent))
    is_train = one.split == "train"
    corpus = wanted.source
    return Import(
        inputs=(Input(one.path, "json"),),
        converter=Released(
            folder, one.task, corpus, is_train, wanted.keep_unanswerable
        ),
        out=out,
        name=dataset_name(one.task, corpus),
        split=one.split,
        description=f"DevCV {one.task}, released set {corpus or 'of no name'}, "
        "imported by data_prep.devcv",
        strict=wanted.strict,
        num_processes=wanted.num_processes,
    )
