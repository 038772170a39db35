"""Runs every check on every task of a folder of shards."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError
from data_prep import raw
from data_prep.devcv.audit import answers, blind, leaks, numbers, pictures
from data_prep.devcv.audit.facts import Facts, read_chunk
from data_prep.devcv.audit.findings import FAULT, Finding
from data_prep.devcv.names import PREFIX, dataset_parts
from data_prep.stages.workers import workers

CHECKS: Sequence[Callable[[str, answers.Splits], Finding]] = (
    answers.form,
    answers.positions,
    answers.constant,
    answers.held_out,
    pictures.options,
    pictures.query,
    pictures.matcher,
    numbers.sizes,
    blind.text_only,
    blind.image_only,
    leaks.duplicates,
    leaks.leaks,
)
CHUNK = 128  # items that a process measures at a time


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
    max_items: int = 0,
    told: Callable[[Audited], None] = lambda audited: None,
) -> list[Audited]:
    """Audits datasets one after the other.

    Args:
        shards: their folder.
        wanted: (name, task, source) of each.
        num_processes: that measure pictures.
        max_items: of a split, the first ones; 0 for all.
        told: called with each result as it comes.

    Returns:
        The results, in order.

    Raises:
        UserError: a dataset is damaged.
    """
    results = []
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
            results.append(Audited(name, task, source, counts, findings))
            told(results[-1])
    return results


def _limited(count: int, max_items: int) -> int:
    return min(count, max_items) if max_items else count


def _read(shards, name, task, each, max_items, bar) -> dict[str, list[Facts]]:
    """Facts of all items by split, each split in the order of its ids."""
    there = splits_of(shards, name)
    order = [split for split in raw.SPLITS if split in there]
    order += sorted(set(there) - set(order))
    jobs = [
        (str(shards), name, split, task, list(range(start, end)))
        for split in order
        for size in [_limited(there[split], max_items)]
        for start in range(0, size, CHUNK)
        for end in [min(start + CHUNK, size)]
    ]
    splits: dict[str, list[Facts]] = {split: [] for split in order}
    for split, facts in each(_read_job, jobs):
        splits[split] += facts
        bar.update(len(facts))
    for items in splits.values():
        items.sort(key=lambda item: item.id)  # processes end in any order
    return splits


def _read_job(shards, name, split, task, indices):
    return split, read_chunk(shards, name, split, task, indices)
