"""`python -m data_prep.devcv import`: the tasks of a released DevCV set -> datasets.

Layouts: `TASK/data.json`, `TASK/SPLIT.json`, `TASK/TASK_SPLIT.json` or
`SPLIT/TASK/data.json` with `images/` beside each file, one task's folder alone, and
`TASK_SPLIT.json` with `images/` beside them.
"""

import argparse
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from babyvlm_jax.runtime.errors import (
    SystemFault,
    UserError,
    add_command_flags,
    printable,
)
from data_prep import raw
from data_prep.devcv import tasks
from data_prep.devcv.released import Released
from data_prep.devcv.tasks import dataset_name
from data_prep.importing.engine import Import, run_import, tell_summary
from data_prep.importing.flags import add_command, check_out, positive
from data_prep.importing.reading import Input

SOURCE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# What released names say beside the task, as in `abc_TASK_instructions_test`.
_SAYS_NOTHING = re.compile(
    r"\d+|v\d+|abc|interleaved|instructions?|datasets?|data|tasks?|final|total|larger|"
    r"crop(ped)?|images?|verified|seen|devcv"
)


class Found(NamedTuple):
    """One file of items: a split of a task."""

    task: str
    split: str
    path: Path


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
    found.sort()
    for one, other in itertools.pairwise(found):
        if (one.task, one.split) == (other.task, other.split):
            raise UserError(
                f"{one.path} and {other.path} are both {one.task}, {one.split}; give "
                "--task=NAME=TASK for one of them, or import them with other --source"
            )
    return found, problems


def _files(root: Path):
    """Every JSON file that may hold items: beside, or up to two folders below."""
    for path in sorted(itertools.chain(*map(root.glob, ("*", "*/*", "*/*/*")))):
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
    above, (rest, split) = folders[::-1], words_and_split(path.stem)
    splits = [split, *(words_and_split(name)[1] for name in above)]
    if root.name in raw.SPLITS:
        splits.append(root.name)
    split = next(filter(None, splits), "")
    telling = (name for name in (*above, root.name) if words_and_split(name)[0])
    nearest = next(telling, path.stem)
    for name in (path.stem, path.stem.removesuffix(f"_{split}"), *folders):
        if name in renamed:
            return name, renamed[name], split
    if not rest:
        return nearest, renamed.get(nearest) or task_named(nearest), split
    task = task_named(rest) or task_named(f"{nearest}_{rest}")
    return path.stem, task, split


def import_sets(
    found: Sequence[Found],
    out: Path,
    source: str,
    strict: bool = False,
    keep_unanswerable: bool = False,
    num_processes: int = 1,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Imports every file; one that gives nothing does not end the others.

    Args:
        found: the files.
        out: folder of the datasets.
        source: the corpus, part of the datasets' names; "" for none.
        strict: the first item that cannot be used ends the import.
        keep_unanswerable: see `released.Released`.
        num_processes: that convert.

    Returns:
        The summaries (see `engine.run_import`), and a line for each file that failed.

    Raises:
        UserError: if `strict`, the first failure.
    """
    summaries, failures = [], []
    for one in found:
        folder, is_train = Path(os.path.realpath(one.path.parent)), one.split == "train"
        job = Import(
            inputs=(Input(one.path, "json"),),
            converter=Released(folder, one.task, source, is_train, keep_unanswerable),
            out=out,
            name=dataset_name(one.task, source),
            split=one.split,
            description=f"DevCV {one.task}, released set {source or 'of no name'}, "
            "imported by data_prep.devcv",
            strict=strict,
            num_processes=num_processes,
        )
        try:
            summaries.append(run_import(job))
        except UserError as error:
            if strict or isinstance(error, SystemFault):
                raise
            failures.append(f"{one.task}/{one.split}: {error}")
    return summaries, failures


def task_named(name: str) -> str | None:
    """Our task of a released name, None where there is none.

    task_named("vdr-binary") -> "vdr_binary"; task_named("baby_pv") ->
    "picture_vocabulary"
    """
    whole = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removeprefix("baby_")
    names = (whole, words_and_split(whole)[0])
    ours = {
        name: task.name
        for task in tasks.TASKS.values()
        for name in (task.name, *task.released_names)
    }
    return next((ours[name] for name in names if name in ours), None)


def words_and_split(name: str) -> tuple[str, str]:
    """The words of a released name that tell the task, and its split.

    words_and_split("count_v2_test") -> ("count", "test"); ("data") -> ("", "")
    """
    words = re.findall("[a-z0-9]+", name.lower())
    split = next((word for word in reversed(words) if word in raw.SPLITS), "")
    rest = (w for w in words if w not in raw.SPLITS and not _SAYS_NOTHING.fullmatch(w))
    return "_".join(rest), split


def check_source(source: str) -> str:
    """The corpus's name.

    Raises:
        UserError: it cannot be part of a dataset's name.
    """
    if source and not SOURCE.fullmatch(source):
        raise UserError(
            f"--source={source}: lower-case letters, digits and single underscores, a "
            "letter first"
        )
    return source


HELP = """\
Imports a released DevCV set, a dataset a task; turns and pictures stay as they are.

examples:
  # TASK/data.json + TASK/images/ for each task -> SHARDS/devcv_ego4d_TASK, split test
  python -m data_prep.devcv import --from=devcv_ego4d --out=shards --source=ego4d

  # TASK_test.json (and _train, _val) + images/; items that nobody can answer stay in
  python -m data_prep.devcv import --from=devcv_toolbox_ego4d --out=shards \\
      --source=ego4d --keep-unanswerable

  # a folder whose name says another task, or none
  python -m data_prep.devcv import --from=nih --out=shards --source=nih \\
      --task=who_has_more=compare_real --tasks=compare_real,memory --strict

Items that cannot be used are left out, counted, and listed with the reason in
OUT/imports/DATASET-SPLIT.json. The same command again goes on where a killed one was.
Exit codes: 0 finished, 78 bad input.
"""


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.devcv`."""
    one = add_command(
        commands,
        "import",
        run,
        HELP,
        "import a released set",
    )
    one.add_argument("--from", required=True, dest="root", metavar="DIR")
    one.add_argument("--out", required=True, metavar="SHARDS")
    one.add_argument(
        "--source",
        default="",
        metavar="NAME",
        help="the corpus, part of the datasets' names: sets lie side by side",
    )
    one.add_argument(
        "--split", default="test", help="of files whose name tells none (default test)"
    )
    one.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="NAME=TASK",
        help="a file or folder of this name holds that task",
    )
    one.add_argument("--tasks", help="comma-separated; default: all that are there")
    one.add_argument(
        "--keep-unanswerable",
        action="store_true",
        help="keep items whose right picture is also a wrong one, as a set was scored",
    )
    one.add_argument(
        "--strict", action="store_true", help="end at the first item that is not usable"
    )
    one.add_argument("--workers", type=positive, default=os.cpu_count(), metavar="N")
    add_command_flags(one)


def run(args: argparse.Namespace) -> None:
    """Imports, and tells what was imported and what was not.

    Raises:
        UserError: nothing to import, or a file that gives no item.
    """
    if args.split not in raw.SPLITS:
        raise UserError(f"--split={args.split}; give one of {', '.join(raw.SPLITS)}")
    chosen = tasks.chosen_tasks(args.tasks)
    found, problems = find_sets(args.root, args.split, _renamed(args.task))
    found = [one for one in found if one.task in chosen]
    if not found:
        raise UserError(f"--from={args.root} holds none of the tasks {args.tasks}")
    out, source = check_out(args.out), check_source(args.source)
    if args.strict and problems:
        raise UserError(f"--strict: {problems[0]}")
    summaries, failures = import_sets(
        found, out, source, args.strict, args.keep_unanswerable, args.workers
    )
    for summary in summaries:
        path = out / "imports" / f"{summary['dataset']}-{summary['split']}.json"
        tell_summary(summary, path)
    for line in problems:
        print(printable(f"left out {line}"))
    if failures:
        told = "".join(f"\n  {line}" for line in failures[1:])
        raise UserError(
            f"{len(failures)} of {len(found)} files gave nothing: {failures[0]}{told}"
        )


def _renamed(given: list[str]) -> dict[str, str]:
    renamed = {}
    for pair in given:
        name, _, task = pair.rpartition("=")
        if not name or task not in tasks.TASKS:
            raise UserError(
                f"--task={pair}; give NAME=TASK, TASK one of {', '.join(tasks.TASKS)}"
            )
        renamed[name] = task
    return renamed
