"""`python -m data_prep.v1bench build`: annotated frames -> datasets."""

import argparse

from babyvlm_jax.runtime.errors import UserError, add_command_flags
from data_prep.devcv.build import count
from data_prep.devcv.source import add_source_flags, find_source, image_side
from data_prep.importing.flags import add_command, check_out, positive
from data_prep.v1bench import build, records

HELP = """\
Builds one dataset per test, of the test split; what is there already is kept.

examples:
  python -m data_prep.v1bench build --raw=runs/demo/raw --out=runs/demo/shards
  python -m data_prep.v1bench build --coco=annotations.json --frames=frames/ \\
      --out=shards --size=full --tasks=labeled_s,vtwt,winoground

Captions are taken from the dataset image_utterance, which data_prep.build makes, in
--pairs or else in --out. Exit codes: 0 finished, 78 bad input.
"""


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.v1bench`."""
    one = add_command(
        commands,
        "build",
        run,
        HELP,
        "build items from annotated frames",
    )
    add_source_flags(one)
    one.add_argument("--out", required=True, metavar="SHARDS")
    one.add_argument(
        "--pairs", metavar="SHARDS", help="folder of image_utterance; default --out"
    )
    one.add_argument("--size", choices=sorted(build.SIZES), default="demo")
    one.add_argument("--number", type=positive, help="items of each test, not --size's")
    one.add_argument("--tasks", help=f"some of {','.join(records.TASKS)}; default: all")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--workers", type=positive, default=2, help="processes")
    add_command_flags(one)


def run(args: argparse.Namespace) -> None:
    """Builds, and tells how many items of each test there are.

    Raises:
        UserError: bad input.
    """
    out, tasks = check_out(args.out), _tasks(args.tasks)
    source = find_source(args)
    sizes = build.SIZES[args.size]
    plan = build.Plan(
        source=source.name,
        synthetic=source.synthetic,
        seed=args.seed,
        side=image_side(args),
        wanted={task: args.number or sizes[task] for task in records.TASKS},
        pairs=args.pairs or str(out),
    )
    summary = build.build(
        out, plan, tasks, source.title, source.files, source.load, args.workers
    )
    for task, made in summary["tasks"].items():
        number = count(made)
        short = number < plan.wanted[task]
        note = f"; {plan.wanted[task]} wanted" if short else ""
        print(f"{records.dataset_name(task)}: {number}{note}")


def _tasks(listed: str | None) -> list[str]:
    chosen = listed.split(",") if listed else list(records.TASKS)
    unknown = [task for task in chosen if task not in records.TASKS]
    if unknown:
        raise UserError(
            f"--tasks: unknown {', '.join(unknown)}; choose from "
            f"{', '.join(records.TASKS)}"
        )
    return chosen
