"""Results: from lines of predictions to the content of results.json and back.

One entry per task: rows of metrics, breakdown, disagreement; and means over the tasks,
by the leaderboard's rule and by ours.
"""

import collections
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.controls import CONSTANT
from babyvlm_jax.evals.scoring import (
    OFFICIAL,
    STRICT,
    metrics_of,
    parsers_of,
)
from babyvlm_jax.evals.stats import (
    FEWEST,
    calibration,
    gather,
    holm,
    interval,
    p_above,
    p_of_guesses,
)
from babyvlm_jax.evals.tasks import CHOICE, GENERATE, MATCH, ROUND, TASKS, Task
from babyvlm_jax.runtime.errors import (
    UserError,
    check_file,
    raise_system_fault,
)

Line = Mapping[str, Any]


def summarize(
    task: Task,
    protocol: str,
    lines: Sequence[Line],
    guesses: Mapping[str, np.ndarray] | None = None,
) -> dict:
    """One task's entry in results.json.

    Args:
        task: the task.
        protocol: the one whose score the entry shows.
        lines: all predictions of the task's items, of every control and protocol.
        guesses: metric -> f64[draws], means of simulated guessers, for metrics whose
            chance is no simple proportion; see `controls.guess`.

    Returns:
        The facts of the task; `rows`, one for each control, protocol and parser; and
        of the row that the strict parser read of the plain items, its metrics, and the
        primary one as `score`. `above_chance`: p is below .05 (then the interval is
        above chance too) and there are enough clusters to tell, which `too_few` denies.
    """
    groups = collections.defaultdict(list)
    for line in lines:
        groups[line["control"], line["protocol"]].append(line)
    rows = [
        make_row(task, control, said_by, parser, group, guesses or {})
        for (control, said_by), group in groups.items()
        for parser in parsers_of(said_by)
    ]
    shown = find_row(rows, "", protocol, STRICT)
    primary = shown["metrics"][task.primary]
    constant = find_row(rows, CONSTANT, "", STRICT)["metrics"][task.primary]["value"]
    return {
        "title": task.title,
        "group": task.group,
        "domain": task.domain,
        "ages": list(task.ages),
        "headline": task.headline,
        "held_out": task.held_out,
        "protocol": protocol,
        "parser": STRICT,
        "primary": task.primary,
        "n": primary["n"],
        "clusters": primary["clusters"],
        "chance": primary["chance"],
        "constant": constant,
        "score": primary["value"],
        "interval": primary["interval"],
        "p_value": primary["p_value"],
        "too_few": primary["clusters"] < FEWEST,
        "above_chance": primary["p_value"] < 0.05 and primary["clusters"] >= FEWEST,
        "metrics": shown["metrics"],
        "breakdown": breakdown(task, groups["", protocol]),
        "disagreement": disagreement(task, rows, groups),
        "rows": rows,
    }


def make_row(task, control, protocol, parser, lines, guesses) -> dict[str, Any]:
    """Metrics of one answerer, and for `choice` how well calibrated it is.

    A metric that some line lacks, for want of a library, is left out.
    """
    clusters = [line["cluster"] for line in lines]
    metrics = {}
    there = set.intersection(*(set(metrics_of(line, parser)) for line in lines))
    for metric in filter(there.__contains__, task.metrics):
        values = [metrics_of(line, parser)[metric] for line in lines]
        chance = sum(line["chance"][metric] for line in lines) / len(lines)
        metrics[metric] = {
            **_measure(values, clusters, chance, guesses.get(metric)),
            "protocol": protocol,
            "parser": parser,
        }
    row = {
        "control": control,
        "protocol": protocol,
        "parser": parser,
        "metrics": metrics,
    }
    return row | ({"calibration": _calibration(lines)} if protocol == CHOICE else {})


def _measure(values, clusters, chance, guesses) -> dict[str, Any]:
    sample = gather(values, clusters)
    value, p = sum(values) / len(values), float(p_above(sample, chance))
    return {
        "value": value,
        "interval": [float(bound) for bound in interval(sample)],
        "n": len(values),
        "clusters": len(sample.sizes),
        "chance": chance,
        "p_value": p if guesses is None else max(p, p_of_guesses(value, guesses)),
    }


def _calibration(lines) -> Mapping[str, float]:
    rounds = [one for line in lines for one in line.get("rounds", [line])]
    offered = [one for one in rounds if len(one["likelihoods"]) > 1]
    return calibration(
        [max(one["likelihoods"].values()) for one in offered],
        [one["correct"] for one in offered],
    )


def find_row(rows: Iterable[Mapping], control: str, protocol: str, parser: str) -> Any:
    """The row of a control, protocol and parser, or None."""
    wanted = (control, protocol, parser)
    return next(
        (r for r in rows if (r["control"], r["protocol"], r["parser"]) == wanted), None
    )


def disagreement(
    task: Task, rows: Iterable[Mapping], groups: Mapping[Any, Sequence[Line]]
) -> dict[str, Any] | None:
    """Where `generate` and `choice` differ by more than their intervals.

    Args:
        task: the task.
        rows: of its entry.
        groups: (control, protocol) -> lines.

    Returns:
        None where they agree or one was not asked, else {"generate", "choice": value,
        "answer": what is written most often, "share": of the questions, "stray": what
        is written most often of all that is not offered, "strayed": share of that}.
    """
    found = {name: find_row(rows, "", name, STRICT) for name in (GENERATE, CHOICE)}
    if None in found.values():
        return None
    metrics = {name: row["metrics"][task.primary] for name, row in found.items()}
    lows, highs = zip(*(metric["interval"] for metric in metrics.values()), strict=True)
    if max(lows) <= min(highs):
        return None
    written, offered = (
        {
            (line["id"], number): one
            for line in groups["", protocol]
            for number, one in enumerate(line.get("rounds", [line]))
        }
        for protocol in (GENERATE, CHOICE)
    )
    said = collections.Counter(one["prediction"] for one in written.values())
    stray = collections.Counter(
        one["prediction"]
        for place, one in written.items()
        if one["prediction"] not in offered[place]["likelihoods"]
    )
    answer, times = said.most_common(1)[0]
    return {
        **{name: metric["value"] for name, metric in metrics.items()},
        "answer": answer,
        "share": times / len(written),
        "stray": max(stray, key=stray.__getitem__, default=""),
        "strayed": stray.total() / len(written),
    }


def breakdown(task: Task, lines: Sequence[Line]) -> dict[str, Any]:
    """The primary metric by number, word, direction, quadrant, round or difference.

    Returns:
        {"by": what, "values": {name: {"value", "n"}}}, {} for a task without; rounds
        are counted from 1 and their value is the share of right ones.
    """
    if not task.breakdown:
        return {}
    groups = collections.defaultdict(list)
    for line in lines:
        if task.breakdown == ROUND:
            for number, one in enumerate(line["rounds"], 1):
                groups[str(number)].append(float(one["correct"]))
        else:
            groups[line["listed"]].append(line["metrics"][task.primary])
    # numbers by size, names by the alphabet
    names = sorted(groups, key=lambda name: (len(name) * name.isdigit(), name))
    values = {
        name: {"value": sum(groups[name]) / len(groups[name]), "n": len(groups[name])}
        for name in names
    }
    return {"by": task.breakdown, "values": values}


def leaderboard(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Scores under the public leaderboard's names, by its protocol and its parser.

    Args:
        tasks: task name -> entry of `results.summarize`.

    Returns:
        {"results": {benchmark: {metric: value}}}; tasks without a slot are left out,
        and those that were not asked to write.

    Source: BabyVLM leaderboard 2026, spec section 5.4.
    """
    found: dict[str, dict[str, float]] = {}
    for task in filter(lambda task: task.leaderboard, TASKS.values()):
        rows = tasks[task.name]["rows"] if task.name in tasks else []
        row = find_row(rows, "", GENERATE, OFFICIAL)
        if task.protocols == (MATCH,):
            row = find_row(rows, "", MATCH, STRICT)
        if row:
            found[task.leaderboard.name] = {
                theirs: row["metrics"][ours]["value"]
                for ours, theirs in task.leaderboard.metrics.items()
            }
    return {"results": found}


def corrected(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Adds `p_holm` to the entries of one source: p corrected for its headline tasks.

    None for an extra row, of which nothing is claimed.
    """
    found = holm({k: task["p_value"] for k, task in tasks.items() if task["headline"]})
    return {key: {**task, "p_holm": found.get(key)} for key, task in tasks.items()}


def overall(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the tasks of one source.

    Args:
        tasks: task name -> entry of `results.summarize`.

    Returns:
        `leaderboard`: the mean of its eleven primaries times 100, a missing one
        counted as 0, and which are missing; `ours`: the mean of the scores, chances
        and constants of the headline tasks that are there, and which of the same
        benchmarks are missing.

    Source: BabyVLM leaderboard 2026, spec section 5.4; the second rule is ours: a
    missing task is missing, not zero.
    """
    found = leaderboard(tasks)["results"]
    slots = [task for task in TASKS.values() if task.leaderboard]
    values = {
        slot.name: found.get(slot.name, {}).get(slot.metrics[task.primary])
        for task in sorted(slots, key=lambda task: task.leaderboard.place)
        for slot in [task.leaderboard]
    }
    shown = {TASKS[name].benchmark for name in tasks}
    headline = [
        task.name
        for task in TASKS.values()
        if task.headline and task.benchmark in shown
    ]
    there = [tasks[name] for name in headline if name in tasks]
    return {
        "leaderboard": {
            "mean": 100 * sum(v or 0.0 for v in values.values()) / len(values),
            "missing": [name for name, value in values.items() if value is None],
        },
        "ours": {
            **{
                key: sum(task[key] for task in there) / len(there) if there else None
                for key in ("score", "chance", "constant")
            },
            "tasks": len(there),
            "missing": [name for name in headline if name not in tasks],
        },
    }


STATISTICS = 2  # edition of intervals and p-values; older results are made again


def read_json(path: epath.Path) -> dict[str, Any]:
    """Reads a results file.

    Raises:
        UserError: it is not one.
    """
    check_file(path)
    try:
        content = json.loads(path.read_text())
        return {"fingerprints": {}, "tasks": {}, **content}
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{path} is damaged; delete it and run again") from None


def read_lines(folder: epath.Path) -> list[dict[str, Any]]:
    """Reads predictions.jsonl of an evaluation's folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / "predictions.jsonl"
    check_file(path)
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise_system_fault(error, path, about_file=True)
        raise UserError(f"{path} is damaged; delete {folder} and run again") from None


def tasks_of(tasks: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Entries of one source by the task's name."""
    return {
        key.rpartition("/")[2]: entry
        for key, entry in tasks.items()
        if tables.source_of(key) == source
    }
