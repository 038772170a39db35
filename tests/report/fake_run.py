"""A run folder as the trainer, the evaluator and data_prep.devcv leave it, made up.

`python -m tests.report.fake_run DIR` writes one to look at.
"""

import dataclasses
import json
import math
import pathlib
import random
import sys

from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.evals.items import gold_texts
from babyvlm_jax.evals.scoring import Answer, make_line
from babyvlm_jax.evals.tasks import TASKS
from tests.evals import contents
from tests.evals.samples import ITEMS

SCORES = {
    "lwl": 0.86,
    "picture_vocabulary": 0.78,
    "localize": 0.915,
    "leftright": 0.9,
    "spatialdetails": 0.445,
    "vdr_binary": 0.81,
    "memory": 0.663,
    "vdr_open": 0.52,
    "compare_real": 0.69,
    "compare_synthetic": 0.535,
    "subitize": 0.72,
    "count": 0.38,
}
OTHERS = {"memory": {"learning": 0.93, "raw": 0.81}}  # beside the primary metric
LOSSES = {
    "language": (8.2, 2.4, 240),
    "vision": (7.6, 4.1, 300),
    "connector": (3.4, 2.6, 90),
    "joint": (2.6, 1.55, 1200),
    "instruct": (1.9, 0.31, 900),
}


def result(name: str, num_items: int = 200) -> dict:
    """One task's entry of results.json."""
    task = TASKS[name]

    def metric(metric, score):
        half = 1.96 * math.sqrt(score * (1 - score) / num_items)
        bounds = max(0, score - half), min(1, score + half)
        return contents.metric(score, *bounds, task.chance[metric], num_items)

    shown = metric(task.primary, SCORES[name])
    return contents.entry(
        task.title,
        *(shown["value"], *shown["interval"], shown["chance"], num_items),
        others={key: metric(key, x) for key, x in OTHERS.get(name, {}).items()},
        primary=task.primary,
        group=task.group,
        domain=task.domain,
        ages=list(task.ages),
        headline=task.headline,
        held_out=task.held_out,
        constant=shown["chance"] + 0.02,
    )


def write_shards_and_predictions(shards, evaluation, num_items, tasks=tuple(SCORES)):
    """Writes devcv_TASK datasets, and predictions of which every third is wrong."""
    lines = []
    for name in tasks:
        item, task = ITEMS[name], TASKS[name]
        records = [
            dataclasses.replace(item, id=f"{name}_{index:03d}")
            for index in range(num_items)
        ]
        drawn = "of a procedural (synthetic) world"
        write_dataset(shards, task.dataset, {"test": records}, drawn)
        for index, record in enumerate(records):
            golds = gold_texts(record)
            replies = (
                golds if index % 3 else ["A" if golds[0] != "A" else "B", *golds[1:]]
            )
            line = make_line(task, "", record, Answer("generate", "", replies))
            lines.append(json.dumps(line) + "\n")
    (evaluation / "predictions.jsonl").write_text("".join(lines))


def write_curves(workdir):
    """Writes metrics.jsonl and config.json of every phase."""
    rng = random.Random(0)
    for name, (start, end, steps) in LOSSES.items():
        (workdir / name).mkdir()
        lines = []
        for step in range(1, steps + 1):
            level = end + (start - end) * math.exp(-6 * step / steps)
            entry = {
                "step": step,
                "time_s": round(0.09 * step, 2),
                "train/loss": level * (1 + rng.gauss(0, 0.04)),
                "train/learning_rate": 1e-3,
            }
            lines.append(json.dumps(entry))
        (workdir / name / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        config = {"num_steps": steps}
        config["data"] = {"batch_size": 32, "mixture": {"devcv_count": 1.0, "text": 2}}
        config["optim"] = {"name": "muon", "lr_peak": 0.003}
        (workdir / name / "config.json").write_text(json.dumps(config))


def write_results(evaluation, tasks=tuple(SCORES), **changes):
    """Writes results.json; `changes` replace top-level fields."""
    entries = {name: result(name, 60 if name == "memory" else 200) for name in tasks}
    content = contents.content(entries)
    evaluation.mkdir(parents=True, exist_ok=True)
    (evaluation / "results.json").write_text(json.dumps(content | changes))


def write_run(workdir, num_items=30, tasks=tuple(SCORES)):
    """Writes a whole run folder with `num_items` test items for each task."""
    evaluation = workdir / "eval" / "900"
    write_results(evaluation, tasks)
    write_shards_and_predictions(workdir / "shards", evaluation, num_items, tasks)
    write_curves(workdir)


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True)
    write_run(target)
