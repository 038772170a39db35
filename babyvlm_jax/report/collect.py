"""Reads a run folder: evaluation results, predictions, training curves, facts.

Standard library only, so that `--show` answers at once. Nothing here draws anything
or opens a shard. What is missing or damaged is a `UserError` that names the remedy.
"""

import dataclasses
import json
import math
import pathlib
import string
from collections.abc import Iterator, Mapping
from typing import Any

from babyvlm_jax.evals import tables
from babyvlm_jax.runtime.errors import UserError, check_file

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

    `name` is its key in results.json; `constant` is the score of the best constant
    answer; `others` are the metrics beside the primary one; `breakdown` is
    {"by", "values"}, or {}.
    """

    name: str
    source: str
    title: str
    group: str
    domain: str
    ages: tuple[int, int]
    protocol: str
    primary: str
    headline: bool
    held_out: bool
    above_chance: bool
    too_few: bool
    p_holm: float | None
    score: Score
    constant: float
    others: Mapping[str, Score]
    breakdown: Mapping[str, Any]

    @property
    def plain_name(self) -> str:
        """The task's name without its source."""
        return self.name.rpartition("/")[2]

    @property
    def months(self) -> str:
        """The ages that the measure is for."""
        return f"{self.ages[0]} to {self.ages[1]} months"


@dataclasses.dataclass(frozen=True)
class Results:
    """One evaluation of one checkpoint, tasks in reading order.

    `content` is what the tables are made of.
    """

    path: pathlib.Path
    checkpoint: str
    step: int
    split: str
    synthetic: bool
    seed: int
    seconds: float
    shards: str
    tasks: tuple[Task, ...]
    content: Mapping[str, Any]

    @property
    def suffix(self) -> str:
        """What its folder's name has behind the step."""
        return self.path.parent.name.lstrip(string.digits)

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
        """Headline tasks that have clusters enough and are not above chance."""
        tasks = (task for task in self.headline if not task.above_chance)
        return tuple(task for task in tasks if not task.too_few)

    @property
    def too_few(self) -> tuple[Task, ...]:
        """Headline tasks of which too few clusters were measured to tell."""
        return tuple(task for task in self.headline if task.too_few)


@dataclasses.dataclass(frozen=True)
class Phase:
    """The training curve of one phase: one loss for each logged step."""

    name: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    seconds: float
    config: Mapping[str, Any]


def read_results(workdir: pathlib.Path, name: str = "") -> Results:
    """Reads an evaluation.

    Args:
        workdir: the run folder.
        name: its folder in WORKDIR/eval; by default the greatest STEP that has a
            results.json.

    Raises:
        UserError: there is none, or it lacks a field.
    """
    steps = _by_step(workdir)
    path = workdir / "eval" / name / "results.json"
    if not name and steps:
        path = steps[max(steps)]
    if not path.exists():
        raise UserError(_what_is_there(workdir, name))
    return _read(path)


def _what_is_there(workdir, name) -> str:
    names = sorted(path.parent.name for path in workdir.glob("eval/*/results.json"))
    wanted = f"{workdir}/eval/{name or 'STEP'}/results.json"
    if not names:
        return (
            f"no evaluation in {workdir} (expected {wanted}); "
            f"run python -m babyvlm_jax.evaluate --workdir={workdir} first"
        )
    return (
        f"there is no {wanted}; {workdir}/eval has {', '.join(names)}: choose one, as "
        f"in --eval={names[-1]}"
    )


def _read(path: pathlib.Path) -> Results:
    raw = _load_json(path)
    try:
        order = tables.reading_order(raw["tasks"])
        tasks = [_task(name, raw["tasks"][name]) for name in order]
        results = Results(
            path=path,
            checkpoint=raw["checkpoint"],
            step=raw["step"],
            split=raw["split"],
            synthetic=raw["synthetic"],
            seed=raw["seed"],
            seconds=raw["seconds"],
            shards=raw["shards"],
            tasks=tuple(tasks),
            content={name: raw[name] for name in ("tasks", "overall", "problems")},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a whole evaluation of this version (at {error}); run "
            f"python -m babyvlm_jax.convert upgrade {path.parent}, or evaluate again"
        ) from None
    if not results.headline:
        raise UserError(f"{path} has no headline task; run babyvlm_jax.evaluate again")
    return results


def read_predictions(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Reads predictions.jsonl beside the results: task name -> predictions by id.

    Only the plain items' under the protocol that the task's score is of.

    Raises:
        UserError: the file is missing or damaged.
    """
    shown = {task.name: task.protocol for task in results.tasks}
    by_task = {name: [] for name in shown}
    for entry in _json_lines(results.path.with_name("predictions.jsonl")):
        name = "/".join(filter(None, (entry["source"], entry["task"])))
        if (entry["control"], entry["protocol"]) == ("", shown.get(name)):
            by_task[name].append(entry)
    for entries in by_task.values():
        entries.sort(key=lambda entry: entry["id"])
    return by_task


@dataclasses.dataclass(frozen=True)
class Growth:
    """A task's score over the checkpoints of a run.

    `scores` are the scores at `steps`, in order.
    """

    title: str
    months: str
    steps: tuple[int, ...]
    scores: tuple[Score, ...]


def read_growth(workdir: pathlib.Path, suffix: str = "") -> tuple[Growth, ...]:
    """Scores over all evaluated steps of a run, for tasks with two steps or more.

    Args:
        workdir: the run folder.
        suffix: of the evaluations' names, behind the step.
    """
    found: dict[str, dict[int, Task]] = {}
    for step, path in sorted(_by_step(workdir, suffix).items()):
        for task in _read(path).tasks:
            found.setdefault(task.name, {})[step] = task
    return tuple(
        Growth(
            title=": ".join(filter(None, (last.source, last.title))),
            months=last.months,
            steps=tuple(tasks),
            scores=tuple(task.score for task in tasks.values()),
        )
        for tasks in found.values()
        if len(tasks) > 1
        for last in [list(tasks.values())[-1]]
    )


def read_phases(workdir: pathlib.Path) -> tuple[Phase, ...]:
    """Reads the curves of the phases that have a metrics.jsonl, in training order."""
    folders = [workdir / name for name in PHASES]
    return tuple(
        _phase(folder) for folder in folders if (folder / "metrics.jsonl").exists()
    )


def _by_step(workdir, suffix="") -> dict[int, pathlib.Path]:
    paths = {
        path.parent.name.removesuffix(suffix): path
        for path in workdir.glob(f"eval/*{suffix}/results.json")
    }
    return {int(step): path for step, path in paths.items() if step.isdigit()}


def _task(name: str, entry: Mapping[str, Any]) -> Task:
    metrics = {key: _score(value) for key, value in entry["metrics"].items()}
    primary = entry["primary"]
    low, high = entry["interval"]
    return Task(
        name=name,
        source=tables.source_of(name),
        title=entry["title"],
        group=entry["group"],
        domain=entry["domain"],
        ages=tuple(entry["ages"]),
        protocol=entry["protocol"],
        primary=primary,
        headline=entry["headline"],
        held_out=entry["held_out"],
        above_chance=entry["above_chance"],
        too_few=entry["too_few"],
        p_holm=entry["p_holm"],
        score=Score(entry["score"], low, high, entry["chance"], entry["n"]),
        constant=entry["constant"],
        others={key: score for key, score in metrics.items() if key != primary},
        breakdown=entry["breakdown"],
    )


def _score(entry):
    low, high = entry["interval"]
    return Score(entry["value"], low, high, entry["chance"], entry["n"])


def _phase(folder: pathlib.Path) -> Phase:
    losses, seconds = {}, 0.0
    for entry in _json_lines(folder / "metrics.jsonl", grows=True):
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
    check_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{path} is not JSON ({error}); delete it and run its step again"
        ) from None


def _json_lines(path: pathlib.Path, grows: bool = False) -> Iterator[dict[str, Any]]:
    """Objects, one per line; what a run has half written, or a kill has, is skipped."""
    if not path.exists():
        raise UserError(f"no {path}; run the evaluation or training of it again")
    check_file(path)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError:
                if grows:
                    continue
                raise UserError(
                    f"{path}, line {number} is not JSON; delete the file and run its "
                    f"step again"
                ) from None


def _mean(values):
    return sum(values) / len(values)
