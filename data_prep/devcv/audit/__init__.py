"""`python -m data_prep.devcv audit`: verdicts on every task of a folder of shards."""

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError, add_command_flags
from data_prep import raw
from data_prep.devcv.audit import blind, checks
from data_prep.devcv.audit.checks import FAULT, NOTE, Finding
from data_prep.devcv.audit.facts import Facts, read_chunk
from data_prep.devcv.tasks import PREFIX, chosen_tasks, dataset_parts
from data_prep.importing.flags import add_command, positive
from data_prep.jobs import write_json, write_whole
from data_prep.stages.workers import workers

CHECKS: Sequence[Callable[[str, checks.Splits], Finding]] = (
    checks.form,
    checks.positions,
    checks.constant,
    checks.held_out,
    checks.options,
    checks.query,
    checks.matcher,
    checks.sizes,
    blind.text_only,
    blind.image_only,
    checks.duplicates,
    checks.leaks,
)
CHUNK = 128  # items that a process measures at a time
MARKS = {FAULT: " **FAULT**", NOTE: " (note)"}


@dataclasses.dataclass(frozen=True)
class Audited:
    """One dataset, what was counted and found.

    Attributes:
        name: of the dataset.
        task: ours.
        source: the corpus, "" for an own build.
        counts: split -> items.
        findings: one of each check, in their order.
    """

    name: str
    task: str
    source: str
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        """How many checks found one."""
        return sum(finding.verdict == FAULT for finding in self.findings)

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self) | {"faults": self.faults}


def datasets(
    shards: str | Path, tasks: Sequence[str], source: str | None
) -> list[tuple[str, str, str]]:
    """(name, task, source) of the DevCV datasets of a folder.

    Args:
        shards: the folder.
        tasks: which.
        source: of this corpus alone; None for all.

    Raises:
        UserError: there is none.
    """
    if not Path(shards).is_dir():
        raise UserError(f"{shards}: no such folder; give the folder of the shards")
    found = []
    for path in sorted(Path(shards).glob(f"{PREFIX}*")):
        parts = dataset_parts(path.name)
        if parts is None or not splits_of(shards, path.name):
            continue
        if parts[0] in tasks and source in (None, parts[1]):
            found.append((path.name, *parts))
    if not found:
        which = "" if source is None else f" of the source {source!r}"
        raise UserError(
            f"{shards} holds no dataset {PREFIX}TASK{which}; build or import one first"
        )
    return found


def audit(
    shards: str | Path,
    wanted: Sequence[tuple[str, str, str]],
    num_processes: int,
    max_items: int,
) -> Iterator[Audited]:
    """Audits datasets one after the other; gives each result as it comes.

    Args:
        shards: their folder.
        wanted: (name, task, source) of each.
        num_processes: that measure pictures.
        max_items: of a split, the first ones; 0 for all.

    Raises:
        UserError: a dataset is damaged.
    """
    total = sum(
        _limited(count, max_items)
        for name, _, _ in wanted
        for count in splits_of(shards, name).values()
    )
    with (
        workers(num_processes) as each,
        tqdm(total=total, desc="audit", unit="item") as bar,
    ):
        for name, task, source in wanted:
            bar.set_postfix_str(name)
            splits = _read(shards, name, task, each, max_items, bar)
            counts = {split: len(items) for split, items in splits.items()}
            findings = tuple(check(task, splits) for check in CHECKS)
            yield Audited(name, task, source, counts, findings)


def _limited(count: int, max_items: int) -> int:
    return min(count, max_items) if max_items else count


def _read(shards, name, task, each, max_items, bar) -> dict[str, list[Facts]]:
    """Facts of all items by split, each split in the order of its ids."""
    there = splits_of(shards, name)
    order = [split for split in raw.SPLITS if split in there]
    order += sorted(set(there) - set(order))
    jobs = [
        (str(shards), name, split, task, indices[start : start + CHUNK])
        for split in order
        for indices in [list(range(_limited(there[split], max_items)))]
        for start in range(0, len(indices), CHUNK)
    ]
    splits: dict[str, list[Facts]] = {split: [] for split in order}
    for split, facts in each(read_chunk, jobs):
        splits[split] += facts
        bar.update(len(facts))
    for items in splits.values():
        items.sort(key=lambda item: item.id)  # processes end in any order
    return splits


def verdicts(audited: Audited) -> str:
    """One line per check, after the name of the dataset and its sizes."""
    counts = ", ".join(f"{split} {n:,}" for split, n in audited.counts.items())
    lines = [
        f"  {one.verdict:5}  {one.check:10}  {one.says}" for one in audited.findings
    ]
    return "\n".join([f"{audited.name} ({counts})", *lines])


def conclusion(results: Sequence[Audited]) -> str:
    """The last line: how many faults there are, and where."""
    faults = {audited.name: audited.faults for audited in results if audited.faults}
    if not faults:
        return f"clean: no fault in {len(results)} datasets"
    where = ", ".join(f"{name} {number}" for name, number in faults.items())
    return f"{sum(faults.values())} faults: {where}"


def markdown(results: Sequence[Audited]) -> str:
    """A row for each dataset, a column for each check."""
    names = [finding.check for finding in results[0].findings]
    lines = [
        f"| dataset | items | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for audited in results:
        cells = [
            f"{finding.short}{MARKS.get(finding.verdict, '')}"
            for finding in audited.findings
        ]
        total = sum(audited.counts.values())
        lines.append(f"| `{audited.name}` | {total:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


REPORT = "devcv_audit.json"
HELP = """\
Looks for ways to answer DevCV items without understanding them.

examples:
  # every devcv_* dataset of a folder; writes shards/devcv_audit.json
  python -m data_prep.devcv audit runs/demo/shards

  # an imported set, two tasks; exit code 78 if there is a fault
  python -m data_prep.devcv audit shards --source=ego4d --tasks=TASK,TASK --strict

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
    wanted = datasets(args.shards, chosen_tasks(args.tasks), args.source)
    places = [Path(args.json or Path(args.shards) / REPORT)]
    places += [Path(args.markdown)] if args.markdown else []
    for place in places:
        if not os.access(place.parent, os.W_OK):
            raise UserError(
                f"{place}: its folder cannot be written; give another with --json=FILE"
            )
    results = []
    for audited in audit(args.shards, wanted, args.workers, args.max_items):
        tqdm.write(verdicts(audited))
        results.append(audited)
    report = {
        "shards": str(args.shards),
        "max_items": args.max_items,
        "faults": sum(audited.faults for audited in results),
        "datasets": [audited.values() for audited in results],
    }
    write_json(places[0], report)
    if args.markdown:
        write_whole(places[1], markdown(results).encode())
    print(conclusion(results))
    if args.strict and report["faults"]:
        raise UserError(f"--strict: {conclusion(results)}; see {places[0]}")
