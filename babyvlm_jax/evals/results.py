"""From lines of predictions to results: rows of metrics, entries of tasks, means."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from babyvlm_jax.evals.controls import CONSTANT
from babyvlm_jax.evals.scoring import STRICT, metrics_of, parsers_of
from babyvlm_jax.evals.stats import (
    FEWEST,
    calibration,
    gather,
    interval,
    p_above,
    p_of_guesses,
)
from babyvlm_jax.evals.tasks import CHOICE, GENERATE, ROUND, Task

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
