"""One number for all tasks, by the leaderboard's rule and by ours."""

from collections.abc import Mapping
from typing import Any

from babyvlm_jax.evals.results import find_row
from babyvlm_jax.evals.scoring import OFFICIAL, STRICT
from babyvlm_jax.evals.stats import holm
from babyvlm_jax.evals.tasks import GENERATE, MATCH, TASKS, Task


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
    for task in _with_slot():
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


def _with_slot() -> list[Task]:
    """The tasks that the leaderboard has, in its order."""
    found = [task for task in TASKS.values() if task.leaderboard]
    return sorted(found, key=lambda task: task.leaderboard.place)


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
    slots = {task.leaderboard.name: task for task in _with_slot()}
    values = {
        name: found.get(name, {}).get(task.leaderboard.metrics[task.primary])
        for name, task in slots.items()
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
