"""One number for all tasks, by the leaderboard's rule and by ours."""

from collections.abc import Mapping
from typing import Any

from babyvlm_jax.evals.parsers import OFFICIAL, STRICT
from babyvlm_jax.evals.results import find_row
from babyvlm_jax.evals.stats import holm
from babyvlm_jax.evals.tasks import GENERATE, MATCH, TASKS

# Our (task, metric) -> the public leaderboard's. Its Looking While Listening slot is
# V1's Baby Winoground, and Subitizing has no slot.
LEADERBOARD = {
    ("picture_vocabulary", "accuracy"): ("baby_pv", "acc"),
    ("localize", "accuracy"): ("baby_localize", "acc"),
    ("leftright", "accuracy"): ("baby_leftright", "acc"),
    ("spatialdetails", "accuracy"): ("baby_spatialdetails", "acc"),
    ("vdr_binary", "exact"): ("baby_vdr_binary", "acc_exact"),
    ("vdr_binary", "adjacent"): ("baby_vdr_binary", "acc_adjacent"),
    ("vdr_open", "exact"): ("baby_vdr_open", "acc_exact"),
    ("vdr_open", "adjacent"): ("baby_vdr_open", "acc_adjacent"),
    ("memory", "learning"): ("baby_memory", "acc_learning"),
    ("memory", "raw"): ("baby_memory", "acc_testing_raw"),
    ("memory", "adjusted"): ("baby_memory", "acc_testing_adjusted"),
    ("compare_synthetic", "accuracy"): ("baby_compare_synthetic", "acc"),
    ("compare_real", "accuracy"): ("baby_compare_real", "acc"),
    ("count", "accuracy"): ("baby_count", "acc"),
    ("winoground", "group"): ("baby_winoground", "group_score"),
    ("winoground", "image"): ("baby_winoground", "image_score"),
    ("winoground", "text"): ("baby_winoground", "text_score"),
}
PRIMARIES = {
    "baby_pv": "acc",
    "baby_localize": "acc",
    "baby_leftright": "acc",
    "baby_spatialdetails": "acc",
    "baby_compare_real": "acc",
    "baby_compare_synthetic": "acc",
    "baby_count": "acc",
    "baby_winoground": "group_score",
    "baby_vdr_binary": "acc_exact",
    "baby_vdr_open": "acc_exact",
    "baby_memory": "acc_testing_adjusted",
}


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
    for (task, metric), (benchmark, name) in LEADERBOARD.items():
        rows = tasks[task]["rows"] if task in tasks else []
        row = find_row(rows, "", GENERATE, OFFICIAL)
        if TASKS[task].protocols == (MATCH,):
            row = find_row(rows, "", MATCH, STRICT)
        if row:
            found.setdefault(benchmark, {})[name] = row["metrics"][metric]["value"]
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
    values = {name: found.get(name, {}).get(key) for name, key in PRIMARIES.items()}
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
