"""From scored items to the tables of an evaluation: results and leaderboard."""

from collections.abc import Mapping, Sequence
from typing import Any

from babyvlm_jax.evals.stats import bootstrap_interval
from babyvlm_jax.evals.tasks import TASKS, Task

# Our (task, metric) -> the public leaderboard's. Its Looking While Listening slot is a
# test of V1 that needs two phrases a picture, and Subitizing has no slot.
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
}


def summarize(
    task: Task,
    mechanism: str,
    predictions: Sequence[Mapping[str, Any]],
    constant: float,
    seed: int,
) -> dict[str, Any]:
    """One task's entry in results.json.

    Args:
        task: the task.
        mechanism: how it was asked.
        predictions: all of its items (a dialogue is one item).
        constant: score of the best constant answer, shown beside chance.
        seed: of the bootstrap.

    Returns:
        The facts of the task, its metrics, and the primary one as `score`.
        `above_chance` says that the whole interval lies above chance.
    """
    metrics = {}
    for metric, chance in task.chance.items():
        values = [prediction["metrics"][metric] for prediction in predictions]
        metrics[metric] = {
            "value": sum(values) / len(values),
            "interval": list(bootstrap_interval(values, seed)),
            "n": len(values),
            "chance": chance,
        }
    primary = metrics[task.primary]
    return {
        "title": task.title,
        "group": task.group,
        "domain": task.domain,
        "headline": task.headline,
        "held_out": task.held_out,
        "mechanism": mechanism,
        "primary": task.primary,
        "n": primary["n"],
        "chance": primary["chance"],
        "constant": constant,
        "score": primary["value"],
        "interval": primary["interval"],
        "above_chance": primary["interval"][0] > primary["chance"],
        "metrics": metrics,
    }


def leaderboard(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Scores under the public leaderboard's names.

    Args:
        tasks: task name -> entry of `summarize`.

    Returns:
        {"results": {benchmark: {metric: value}}}; tasks without a slot are left out.

    Source: BabyVLM leaderboard 2026, spec section 5.4.
    """
    results: dict[str, dict[str, float]] = {}
    for (task, metric), (benchmark, name) in LEADERBOARD.items():
        if task in tasks:
            value = tasks[task]["metrics"][metric]["value"]
            results.setdefault(benchmark, {})[name] = value
    return {"results": results}


def table(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """Plain-text table: task, score, 95 % interval, chance, n, in percent."""
    lines = [f"{'task':32}{'score':>7}{'95 % interval':>17}{'chance':>8}{'n':>6}"]
    for name in [name for name in TASKS if name in tasks]:
        entry = tasks[name]
        low, high = (100 * bound for bound in entry["interval"])
        mark = "" if entry["above_chance"] else "  not above chance"
        lines.append(
            f"{entry['title']:32}{100 * entry['score']:7.1f}"
            f"{f'{low:.1f} to {high:.1f}':>17}{100 * entry['chance']:8.1f}"
            f"{entry['n']:6}{mark}"
        )
    return "\n".join(lines)
