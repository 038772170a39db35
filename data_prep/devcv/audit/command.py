"""`python -m data_prep.devcv audit`: verdicts on every task of a folder of shards."""

import argparse
import os
from pathlib import Path

from tqdm import tqdm

from babyvlm_jax.runtime.errors import UserError, add_command_flags
from data_prep.devcv import names
from data_prep.devcv.audit import tables
from data_prep.devcv.audit.audit import audit, datasets
from data_prep.importing.flags import add_command, positive
from data_prep.jobs import write_json, write_whole

REPORT = "devcv_audit.json"
HELP = """\
Looks for ways to answer DevCV items without understanding them.

examples:
  # every devcv_* dataset of a folder; writes shards/devcv_audit.json
  python -m data_prep.devcv audit runs/demo/shards

  # an imported set, two tasks; exit code 78 if there is a fault
  python -m data_prep.devcv audit shards --source=ego4d --tasks=leftright,count --strict

  # report and table elsewhere, for shards that are read only
  python -m data_prep.devcv audit shards --json=audit.json --markdown=audit.md

Verdicts: ok; note (worth telling with a score, no fault of the items); FAULT (answers
can be had without understanding, or not at all); n/a. docs/devcv.md says what each
check does. Exit codes: 0 finished, 78 bad input, or with --strict a fault.
"""


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.devcv`."""
    one = add_command(
        commands,
        "audit",
        run,
        HELP,
        "look for shortcuts in sets of items",
    )
    one.add_argument("shards", metavar="SHARDS", help="folder of the datasets")
    one.add_argument(
        "--source", help="only this corpus; '' is what was built here; default: all"
    )
    one.add_argument("--tasks", help="comma-separated; default: all that are there")
    one.add_argument("--json", metavar="FILE", help=f"report; default SHARDS/{REPORT}")
    one.add_argument("--markdown", metavar="FILE", help="a table of the verdicts")
    one.add_argument(
        "--max-items", type=int, default=0, help="of a split; default 0: all"
    )
    one.add_argument(
        "--strict", action="store_true", help="exit code 78 if there is a fault"
    )
    one.add_argument("--workers", type=positive, default=os.cpu_count(), metavar="N")
    add_command_flags(one)


def run(args: argparse.Namespace) -> None:
    """Audits, prints a verdict a line, and writes the report.

    Raises:
        UserError: no datasets, a flag that makes no sense, a place that cannot be
            written; with --strict, any fault.
    """
    if args.max_items < 0:
        raise UserError(f"--max-items={args.max_items}; give 0 or more")
    tasks = names.chosen_tasks(args.tasks)
    wanted = datasets(args.shards, tasks, args.source)
    places = [Path(args.json or Path(args.shards) / REPORT)]
    places += [Path(args.markdown)] if args.markdown else []
    for place in places:
        if not os.access(place.parent, os.W_OK):
            raise UserError(
                f"{place}: its folder cannot be written; give another with --json=FILE"
            )

    def told(audited):
        for line in tables.verdicts(audited):
            tqdm.write(line)

    results = audit(args.shards, wanted, args.workers, args.max_items, told)
    report = {
        "shards": str(args.shards),
        "max_items": args.max_items,
        "faults": sum(audited.faults for audited in results),
        "datasets": [audited.values() for audited in results],
    }
    write_json(places[0], report)
    if args.markdown:
        write_whole(places[1], tables.markdown(results).encode())
    print(tables.conclusion(results))
    if args.strict and report["faults"]:
        raise UserError(f"--strict: {tables.conclusion(results)}; see {places[0]}")
