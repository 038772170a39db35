"""Reads a run folder: evaluation results, predictions, training curves, facts.

Standard library only, so that `--show` answers at once. Nothing here draws anything
or opens a shard. What is missing or damaged is a `UserError` that names the remedy.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from babyvlm_jax.errors import UserError

PHASES = ("language", "vision", "connector", "joint", "instruct")
LOSS = "train/loss"


@dataclasses.dataclass(frozen=True)
class Score:
    """One measured metric: share in [0, 1] with its 95 % interval."""

    value: float
    low: float
    high: float
    chance: float
    n: int


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of results.

    `constant` is the score of the best constant answer; `others` are the metrics
    beside the primary one.
    """

    name: str
    title: str
    group: str
    domain: str
    mechanism: str
    primary: str
    headline: bool
    held_out: bool
    above_chance: bool
    score: Score
    constant: float
    others: Mapping[str, Score]


@dataclasses.dataclass(frozen=True)
class Results:
    """One evaluation of one checkpoint, tasks in reading order."""

    path: pathlib.Path
    checkpoint: str
    step: int
    split: str
    synthetic: bool
    seed: int
    seconds: float
    tasks: tuple[Task, ...]

    @property
    def headline(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.headline)

    @property
    def mean(self) -> float:
        return _mean([task.score.value for task in self.headline])

    @property
    def mean_chance(self) -> float:
        return _mean([task.score.chance for task in self.headline])

    @property
    def mean_constant(self) -> float:
        return _mean([task.constant for task in self.headline])

    @property
    def not_above(self) -> tuple[Task, ...]:
        """Headline tasks whose interval is not wholly above chance."""
        return tuple(task for task in self.headline if not task.above_chance)


@dataclasses.dataclass(frozen=True)
class Phase:
    """The training curve of one phase: one loss for each logged step."""

    name: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    seconds: float
    config: Mapping[str, Any]


def read_results(workdir: pathlib.Path) -> Results:
    """Reads the newest evaluation: the greatest STEP that has a results.json.

    Raises:
        UserError: there is none, or it lacks a field.
    """
    path = _newest_results(workdir)
    raw = _load_json(path)
    try:
        tasks = [_task(name, entry) for name, entry in raw["tasks"].items()]
        results = Results(
            path=path,
            checkpoint=raw["checkpoint"],
            step=raw["step"],
            split=raw["split"],
            synthetic=raw["synthetic"],
            seed=raw["seed"],
            seconds=raw["seconds"],
            tasks=_reading_order(tasks),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a whole evaluation (at {error}); delete it and run "
            f"python -m babyvlm_jax.evaluate again"
        ) from None
    if not results.headline:
        raise UserError(f"{path} has no headline task; run babyvlm_jax.evaluate again")
    return results


def read_predictions(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Reads predictions.jsonl beside the results: task name -> predictions by id.

    Raises:
        UserError: the file is missing or damaged.
    """
    by_task = {task.name: [] for task in results.tasks}
    for entry in _json_lines(results.path.with_name("predictions.jsonl")):
        by_task.setdefault(entry["task"], []).append(entry)
    for entries in by_task.values():
        entries.sort(key=lambda entry: entry["id"])
    return by_task


def read_phases(workdir: pathlib.Path) -> tuple[Phase, ...]:
    """Reads the curves of the phases that have a metrics.jsonl, in training order."""
    folders = [workdir / name for name in PHASES]
    return tuple(
        _phase(folder) for folder in folders if (folder / "metrics.jsonl").exists()
    )


def _newest_results(workdir):
    found = {
        int(path.parent.name): path
        for path in workdir.glob("eval/*/results.json")
        if path.parent.name.isdigit()
    }
    if not found:
        raise UserError(
            f"no evaluation in {workdir} (expected {workdir}/eval/STEP/results.json); "
            f"run python -m babyvlm_jax.evaluate --workdir={workdir} first"
        )
    return found[max(found)]


def _task(name: str, entry: Mapping[str, Any]) -> Task:
    metrics = {key: _score(value) for key, value in entry["metrics"].items()}
    primary = entry["primary"]
    low, high = entry["interval"]
    return Task(
        name=name,
        title=entry["title"],
        group=entry["group"],
        domain=entry["domain"],
        mechanism=entry["mechanism"],
        primary=primary,
        headline=entry["headline"],
        held_out=entry["held_out"],
        above_chance=entry["above_chance"],
        score=Score(entry["score"], low, high, entry["chance"], entry["n"]),
        constant=entry["constant"],
        others={key: score for key, score in metrics.items() if key != primary},
    )


def _score(entry):
    low, high = entry["interval"]
    return Score(entry["value"], low, high, entry["chance"], entry["n"])


def _reading_order(tasks: list[Task]) -> tuple[Task, ...]:
    """Domains and groups in order of appearance, headline rows first in each group."""
    domains = list(dict.fromkeys(task.domain for task in tasks))
    groups = list(dict.fromkeys(task.group for task in tasks))

    def place(task):
        return domains.index(task.domain), groups.index(task.group), not task.headline

    return tuple(sorted(tasks, key=place))


def _phase(folder: pathlib.Path) -> Phase:
    losses, seconds = {}, 0.0
    for entry in _json_lines(folder / "metrics.jsonl"):
        seconds = max(seconds, entry.get("time_s", 0.0))
        if LOSS in entry and math.isfinite(entry[LOSS]):
            # A resumed run repeats steps: the last one counts.
            losses[entry["step"]] = entry[LOSS]
    config = folder / "config.json"
    steps = tuple(sorted(losses))
    return Phase(
        name=folder.name,
        steps=steps,
        losses=tuple(losses[step] for step in steps),
        seconds=seconds,
        config=_load_json(config) if config.exists() else {},
    )


def _load_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{path} is not JSON ({error}); delete it and run its step again"
        ) from None


def _json_lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        raise UserError(f"no {path}; run the evaluation or training of it again")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError:
                raise UserError(
                    f"{path}, line {number} is not JSON; delete the file and run its "
                    f"step again"
                ) from None


def _mean(values):
    return sum(values) / len(values)
