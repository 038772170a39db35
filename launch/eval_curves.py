"""Scores over checkpoints: one table, and lines beside a run's own metrics."""

import json
from collections.abc import Mapping, Sequence

from etils import epath
from tensorboardX import SummaryWriter

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.results import Evaluation
from babyvlm_jax.runtime.files import write_atomically

METRICS = "eval_metrics.jsonl"
EVENTS = "tensorboard/eval"


def rows(results: Mapping[str, Evaluation]) -> list[tuple[str, ...]]:
    """A row for each evaluation: its name, the scores, and how many are above chance.

    Args:
        results: name -> evaluation.

    Returns:
        Header and rows of as many cells; scores are percent, blank where a task was not
        asked.
    """
    names: dict[str, str] = {}
    for one in results.values():
        names |= {t.key: t.label for t in tables.reading_order(one.tasks)}
    found = [("checkpoint", "mean", *names.values(), "above chance")]
    for name, one in results.items():
        tasks, headline = one.tasks, one.headline
        above = sum(task.above_chance for task in headline)
        scores = [task.score for task in headline]
        mean = tables.percent(sum(scores) / len(scores)) if scores else ""
        cells = [tables.percent(tasks[k].score) if k in tasks else "" for k in names]
        found.append((name, mean, *cells, f"{above} of {len(headline)}"))
    return found


def scalars(result: Evaluation) -> dict[str, float]:
    """Every metric of the score's protocol, as `test/count/accuracy`."""
    return {
        f"{result.split}/{key}/{name}": metric.value
        for key, task in result.tasks.items()
        for name, metric in task.metrics.items()
    }


def write_back(run: str, results: Sequence[Evaluation]) -> None:
    """Writes a run's evaluations where its curves are.

    `RUN/eval_metrics.jsonl` holds a line for each step, and TensorBoard, asked for
    RUN/tensorboard, draws the same. The run itself, which may still be training, writes
    neither.

    Args:
        run: its work directory.
        results: in any order.
    """
    path = epath.Path(run) / METRICS
    before = path.read_text().splitlines() if path.exists() else []
    there = {line["step"]: line for line in map(json.loads, before)}
    lines = {one.step: {"step": one.step, **scalars(one)} for one in results}
    fresh = {step: line for step, line in lines.items() if there.get(step) != line}
    if not fresh:
        return
    text = "".join(
        json.dumps(line) + "\n" for _, line in sorted((there | lines).items())
    )
    write_atomically(path, text.encode())
    with SummaryWriter(f"{run}/{EVENTS}") as events:
        for step, line in sorted(fresh.items()):
            for name, value in line.items():
                if name != "step":
                    events.add_scalar(name, value, step)
