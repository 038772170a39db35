"""Runs side by side, with paired significance tests on the items that they share."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.results import (
    Line,
    TaskResult,
    find_evaluation,
    metrics_of,
    read_evaluation,
    read_shown,
)
from babyvlm_jax.evals.stats import holm, paired
from babyvlm_jax.runtime.errors import UserError


class Run(NamedTuple):
    """One evaluation.

    Attributes:
        name: what its column is called.
        tasks: its entries.
        lines: key of a task -> id -> the plain item's line under the shown protocol.
    """

    name: str
    tasks: Mapping[str, TaskResult]
    lines: Mapping[str, Mapping[str, Line]]


def read_run(path: str) -> Run:
    """Reads an evaluation, given its folder or a work directory.

    Raises:
        UserError: there is none, or it is damaged.
    """
    folder = find_evaluation(path)
    tasks = read_evaluation(folder).tasks
    return Run(path, tasks, read_shown(folder, tasks))


def compare(paths: Sequence[str], parser: str, seed: int = 0) -> list[tuple[str, ...]]:
    """Scores of all runs, and each one's difference from the first.

    Args:
        paths: evaluations, the first of which the others are compared with.
        parser: whose reading counts.
        seed: of the tests.

    Returns:
        Rows of a table: header, then a row for each set of items that all runs have.
        A difference is followed by its 95 % interval, the p-value of the paired test
        and the same corrected for the number of tasks (Holm), all over the shared
        items, of which there are n in so many clusters.

    Raises:
        UserError: fewer than two runs, or no items in common.
    """
    if len(paths) < 2:
        raise UserError(f"compare needs two runs or more; {list(paths)} was given")
    first, *others = runs = [read_run(path) for path in paths]
    tasks, ids = {}, {}
    for task in tables.reading_order(first.tasks):
        common = set.intersection(*(set(run.lines.get(task.key, {})) for run in runs))
        if common:
            tasks[task.key], ids[task.key] = task, sorted(common)
    if not tasks:
        raise UserError(f"{' and '.join(paths)} have no items in common")

    def values(run, key) -> list[float]:
        lines, primary = run.lines[key], tasks[key].primary
        return [metrics_of(lines[name], parser)[primary] for name in ids[key]]

    clusters = {
        key: [first.lines[key][name]["cluster"] for name in names]
        for key, names in ids.items()
    }
    rows = [["task", "n", "clusters", first.name]]
    for key, task in tasks.items():
        score = tables.percent(_mean(values(first, key)))
        counts = [str(len(ids[key])), str(len(set(clusters[key])))]
        rows.append([task.label, *counts, score])
    for run in others:
        found = {}
        for key in tasks:
            ours, theirs = values(first, key), values(run, key)
            apart = [b - a for a, b in zip(ours, theirs, strict=True)]
            low, high, p = paired(apart, clusters[key], seed)
            mean, low, high = (100 * one for one in (_mean(apart), low, high))
            difference = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
            found[key] = [tables.percent(_mean(theirs)), difference], p
        corrected = holm({key: p for key, (_, p) in found.items()})
        rows[0] += [run.name, "difference", "p", "Holm"]
        for row, (key, (cells, p)) in zip(rows[1:], found.items(), strict=True):
            row += [*cells, tables.p_value(p), tables.p_value(corrected[key])]
    return [tuple(row) for row in rows]


def _mean(values):
    return sum(values) / len(values)
