"""From lines of predictions to results: rows of metrics, entries of tasks, means."""

import collections
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from babyvlm_jax.evals.controls import CONSTANT
from babyvlm_jax.evals.results import (
    OFFICIAL,
    STRICT,
    Line,
    Metric,
    Row,
    TaskResult,
    metrics_of,
    rounds_of,
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


def summarize(
    task: Task,
    key: str,
    protocol: str,
    lines: Sequence[Line],
    guesses: Mapping[str, np.ndarray] | None = None,
) -> TaskResult:
    """One task's entry in results.json.

    Args:
        task: the task.
        key: the entry's.
        protocol: the one whose score the entry shows, as the strict parser reads it.
        lines: all predictions of the task's items, of every control and protocol.
        guesses: metric -> f64[draws], means of simulated guessers, for metrics whose
            chance is no simple proportion; see `controls.guess`.
    """
    groups = collections.defaultdict(list)
    for line in lines:
        groups[line["control"], line["protocol"]].append(line)
    rows = {
        (control, said_by, parser): _make_row(
            task, control, said_by, parser, group, guesses or {}
        )
        for (control, said_by), group in groups.items()
        for parser in ((STRICT, OFFICIAL) if said_by == GENERATE else (STRICT,))
    }
    metrics = rows["", protocol, STRICT].metrics
    primary = metrics[task.primary]
    return TaskResult(
        key=key,
        title=task.title,
        group=task.group,
        domain=task.domain,
        ages=task.ages,
        headline=task.headline,
        held_out=task.held_out,
        protocol=protocol,
        parser=STRICT,
        primary=task.primary,
        n=primary.n,
        clusters=primary.clusters,
        chance=primary.chance,
        constant=rows[CONSTANT, "", STRICT].metrics[task.primary].value,
        score=primary.value,
        interval=primary.interval,
        p_value=primary.p_value,
        too_few=primary.clusters < FEWEST,
        above_chance=primary.p_value < 0.05 and primary.clusters >= FEWEST,
        metrics=metrics,
        breakdown=breakdown(task, groups["", protocol]),
        disagreement=disagreement(task, rows, groups),
        rows=tuple(rows.values()),
        p_holm=None,
    )


def _make_row(task, control, protocol, parser, lines, guesses) -> Row:
    """Metrics of one answerer, and for `choice` how well calibrated it is.

    A metric that some line lacks, for want of a library, is left out.
    """
    clusters = [line["cluster"] for line in lines]
    found = [metrics_of(line, parser) for line in lines]
    metrics = {}
    for name in task.metrics:
        if not all(name in one for one in found):
            continue
        values = [one[name] for one in found]
        chance = sum(line["chance"][name] for line in lines) / len(lines)
        sample = gather(values, clusters)
        value, p = sum(values) / len(values), float(p_above(sample, chance))
        if name in guesses:
            p = max(p, p_of_guesses(value, guesses[name]))
        low, high = map(float, interval(sample))
        metrics[name] = Metric(
            *(value, (low, high), len(values), len(sample.sizes), chance, p),
            *(protocol, parser),
        )
    chose = _calibration(lines) if protocol == CHOICE else None
    return Row(control, protocol, parser, metrics, chose)


def _calibration(lines) -> Mapping[str, float]:
    rounds = itertools.chain.from_iterable(map(rounds_of, lines))
    offered = [one for one in rounds if len(one["likelihoods"]) > 1]
    return calibration(
        [max(one["likelihoods"].values()) for one in offered],
        [one["correct"] for one in offered],
    )


def disagreement(
    task: Task,
    rows: Mapping[tuple[str, str, str], Row],
    groups: Mapping[tuple[str, str], Sequence[Line]],
) -> dict[str, Any] | None:
    """Where `generate` and `choice` differ by more than their intervals.

    Args:
        task: the task.
        rows: of its entry, by control, protocol and parser.
        groups: (control, protocol) -> lines.

    Returns:
        None where they agree or one was not asked, else {"generate", "choice": value,
        "answer": what is written most often, "share": of the questions, "stray": what
        is written most often of all that is not offered, "strayed": share of that}.
    """
    found = {name: rows.get(("", name, STRICT)) for name in (GENERATE, CHOICE)}
    if None in found.values():
        return None
    metrics = {name: row.metrics[task.primary] for name, row in found.items()}
    lows, highs = zip(*(metric.interval for metric in metrics.values()), strict=True)
    if max(lows) <= min(highs):
        return None
    written, offered = (
        {
            (line["id"], number): one
            for line in groups["", protocol]
            for number, one in enumerate(rounds_of(line))
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
        **{name: metric.value for name, metric in metrics.items()},
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


def leaderboard(tasks: Mapping[str, TaskResult]) -> dict[str, Any]:
    """Scores under the public leaderboard's names, by its protocol and its parser.

    Args:
        tasks: task name -> entry.

    Returns:
        {"results": {benchmark: {metric: value}}}; tasks without a slot are left out,
        and those that were not asked to write.

    Source: BabyVLM leaderboard 2026.
    """
    found: dict[str, dict[str, float]] = {}
    for task in TASKS.values():
        if not task.leaderboard or task.name not in tasks:
            continue
        asked = (MATCH, STRICT) if task.protocols == (MATCH,) else (GENERATE, OFFICIAL)
        if row := tasks[task.name].row("", *asked):
            found[task.leaderboard.name] = {
                theirs: row.metrics[ours].value
                for ours, theirs in task.leaderboard.metrics.items()
            }
    return {"results": found}


def corrected(tasks: Mapping[str, TaskResult]) -> dict[str, TaskResult]:
    """Adds `p_holm` to the entries of one source: p corrected for its headline tasks.

    None for an extra row, of which nothing is claimed.
    """
    found = holm({key: task.p_value for key, task in tasks.items() if task.headline})
    return {
        key: dataclasses.replace(task, p_holm=found.get(key))
        for key, task in tasks.items()
    }


def overall(tasks: Mapping[str, TaskResult]) -> dict[str, Any]:
    """Means over the tasks of one source.

    Args:
        tasks: task name -> entry.

    Returns:
        `leaderboard`: the mean of its eleven primaries times 100, a missing one
        counted as 0, and which are missing; `ours`: the mean of the scores, chances
        and constants of the headline tasks that are there, and which of the same
        benchmarks are missing.

    Source: BabyVLM leaderboard 2026; the second rule is ours: a missing task is
    missing, not zero.
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
                name: sum(getattr(task, name) for task in there) / len(there)
                if there
                else None
                for name in ("score", "chance", "constant")
            },
            "tasks": len(there),
            "missing": [name for name in headline if name not in tasks],
        },
    }
