"""`python -m data_prep.devcv import`: released sets -> datasets."""

import argparse
import os

from babyvlm_jax.runtime.errors import UserError, add_command_flags, printable
from data_prep import raw
from data_prep.devcv import imports, names, sizes
from data_prep.importing.engine import tell_summary
from data_prep.importing.flags import add_command, check_out, positive

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
    chosen = names.chosen_tasks(args.tasks)
    found, problems = imports.find_sets(args.root, args.split, _renamed(args.task))
    found = [one for one in found if one.task in chosen]
    if not found:
        raise UserError(f"--from={args.root} holds none of the tasks {args.tasks}")
    out = check_out(args.out)
    wanted = imports.Wanted(
        source=names.check_source(args.source),
        strict=args.strict,
        keep_unanswerable=args.keep_unanswerable,
        num_processes=args.workers,
    )
    if args.strict and problems:
        raise UserError(f"--strict: {problems[0]}")
    summaries, failures = imports.import_sets(found, out, wanted)
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
        if not name or task not in sizes.TASKS:
            raise UserError(
                f"--task={pair}; give NAME=TASK, TASK one of {', '.join(sizes.TASKS)}"
            )
        renamed[name] = task
    return renamed
