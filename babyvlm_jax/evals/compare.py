"""Runs side by side, with paired significance tests on the items that they share."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.results import read_json, read_lines
from babyvlm_jax.evals.scoring import metrics_of
from babyvlm_jax.evals.stats import holm, paired
from babyvlm_jax.runtime.errors import UserError


class Run(NamedTuple):
    """One evaluation.

    Attributes:
        name: what its column is called.
        content: of results.json.
        lines: key of a set -> id -> the plain item's line under the shown protocol.
    """

    name: str
    content: Mapping[str, Any]
    lines: Mapping[str, Mapping[str, Mapping[str, Any]]]


def find_evaluation(path: str) -> epath.Path:
    """The folder of an evaluation: the path itself, or the newest in a work directory.

    Raises:
        UserError: there is none.
    """
    folder = epath.Path(path)
    if (folder / "results.json").exists():
        return folder
    names = sorted(one.parent.name for one in folder.glob("eval/*/results.json"))
    steps = [name for name in names if name.isdigit()]
    if steps:
        return folder / "eval" / max(steps, key=int)
    if names:
        raise UserError(
            f"{path} holds no eval/STEP/results.json, but {', '.join(names)}; say "
            f"which, as in {folder / 'eval' / names[-1]}"
        )
    raise UserError(
        f"{path} holds no results.json, and no eval/STEP/results.json; give the "
        "folder of an evaluation, or a work directory"
    )


def read_run(path: str) -> Run:
    """Reads an evaluation.

    Raises:
        UserError: there is none, or it is damaged.
    """
    folder = find_evaluation(path)
    content = read_json(folder / "results.json")
    lines: dict = collections.defaultdict(dict)
    said = read_lines(folder)
    try:
        for line in said:
            key = "/".join(filter(None, (line["source"], line["task"])))
            task = content["tasks"][key]
            if (line["control"], line["protocol"]) == ("", task["protocol"]):
                lines[key][line["id"]] = line
    except (KeyError, TypeError):
        raise UserError(
            f"{folder}/predictions.jsonl is damaged or older than this version; run "
            "convert upgrade on it, or the evaluation again"
        ) from None
    return Run(path, content, lines)


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
    runs = [read_run(path) for path in paths]
    shared = [
        key
        for key in tables.reading_order(runs[0].content["tasks"])
        if _common(runs, key)
    ]
    if not shared:
        raise UserError(f"{' and '.join(paths)} have no items in common")
    rows = [["task", "n", "clusters", runs[0].name]]
    rows += [_first_cells(runs, key, parser) for key in shared]
    for run in runs[1:]:
        found = {key: _apart(runs, run, key, parser, seed) for key in shared}
        corrected = holm({key: p for key, (_, p) in found.items()})
        rows[0] += [run.name, "difference", "p", "Holm"]
        for row, (key, (cells, p)) in zip(rows[1:], found.items(), strict=True):
            row += [*cells, tables.p_value(p), tables.p_value(corrected[key])]
    return [tuple(row) for row in rows]


def _common(runs, key) -> list[str]:
    ids = set.intersection(*(set(run.lines.get(key, {})) for run in runs))
    return sorted(ids)


def _first_cells(runs, key, parser) -> list[str]:
    ids, task = _common(runs, key), runs[0].content["tasks"][key]
    source = tables.source_of(key)
    title = f"{source}: {task['title']}" if source else task["title"]
    values = _values(runs, runs[0], key, parser)
    clusters = set(_clusters(runs, key))
    return [title, str(len(ids)), str(len(clusters)), tables.percent(_mean(values))]


def _apart(runs, run, key, parser, seed) -> tuple[list[str], float]:
    """Score and difference of a run, and the p-value."""
    ours, theirs = (_values(runs, one, key, parser) for one in (runs[0], run))
    apart = [b - a for a, b in zip(ours, theirs, strict=True)]
    low, high, p = paired(apart, _clusters(runs, key), seed)
    difference = f"{100 * _mean(apart):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return [tables.percent(_mean(theirs)), difference], p


def _values(runs, run, key, parser) -> list[float]:
    primary = runs[0].content["tasks"][key]["primary"]
    lines = run.lines[key]
    return [metrics_of(lines[name], parser)[primary] for name in _common(runs, key)]


def _clusters(runs, key) -> list[str]:
    return [runs[0].lines[key][name]["cluster"] for name in _common(runs, key)]


def _mean(values):
    return sum(values) / len(values)
