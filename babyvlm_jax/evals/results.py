"""What results.json and predictions.jsonl hold, and how both are found and read.

Imports neither numpy nor jax, so that whoever shows results answers at once.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from babyvlm_jax.runtime.errors import UserError, read_bytes

STATISTICS = 2  # edition of intervals and p-values; older results are made again
OFFICIAL, STRICT = "official", "strict"
PARSERS = (STRICT, OFFICIAL)
RESULTS, PREDICTIONS = "results.json", "predictions.jsonl"
# Facts of a run in results.json, beside what was measured.
HEADER = (
    *("checkpoint", "kind", "step", "split", "synthetic", "seed", "shards"),
    "seconds",
)
Line = Mapping[str, Any]  # of predictions.jsonl; see `scoring.make_line`


@dataclasses.dataclass(frozen=True)
class Metric:
    """One measured metric: a share in [0, 1] with its 95 % interval.

    Attributes:
        value: mean over the items.
        interval: lower and upper bound.
        n: number of items.
        clusters: recordings that they come from.
        chance: expected value of guessing.
        p_value: twice the probability of doing as well by guessing.
        protocol, parser: of the answers.
    """

    value: float
    interval: tuple[float, float]
    n: int
    clusters: int
    chance: float
    p_value: float
    protocol: str
    parser: str


@dataclasses.dataclass(frozen=True)
class Row:
    """Metrics of one answerer; `calibration` only where it chose."""

    control: str
    protocol: str
    parser: str
    metrics: Mapping[str, Metric]
    calibration: Mapping[str, float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One task's entry.

    Attributes:
        key: its name in results.json: the task's, after that of the source.
        title, group, domain, ages, headline, held_out: see `tasks.Task`.
        protocol, parser, primary: what `score` is of, and its metric.
        n, clusters, chance, score, interval, p_value: of that metric.
        constant: score of the best constant answer.
        too_few: there are too few clusters to tell whether it is above chance.
        above_chance: p is below .05 (then the interval is above chance too), and there
            are enough clusters.
        metrics: all metrics of the protocol.
        breakdown: see `summary.breakdown`.
        disagreement: see `summary.disagreement`.
        rows: one for each control, protocol and parser.
        beyond_context: items that were cut, and tokens of the longest; None: not known.
        p_holm: p corrected for the number of headline tasks; None for an extra row.
    """

    key: str
    title: str
    group: str
    domain: str
    ages: tuple[int, int]
    headline: bool
    held_out: bool
    protocol: str
    parser: str
    primary: str
    n: int
    clusters: int
    chance: float
    constant: float
    score: float
    interval: tuple[float, float]
    p_value: float
    too_few: bool
    above_chance: bool
    metrics: Mapping[str, Metric]
    breakdown: Mapping[str, Any]
    disagreement: Mapping[str, Any] | None
    rows: tuple[Row, ...]
    beyond_context: Mapping[str, int] | None = None
    p_holm: float | None

    @property
    def source(self) -> str:
        """`ego4d` of `ego4d/count`; "" where there is only one source."""
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The task's name without its source."""
        return self.key.rpartition("/")[2]

    @property
    def label(self) -> str:
        """The task's title, after the name of its source."""
        return f"{self.source}: {self.title}" if self.source else self.title

    @property
    def months(self) -> str:
        """The ages that the measure is for."""
        return "{} to {} months".format(*self.ages)

    @property
    def others(self) -> dict[str, Metric]:
        """The metrics beside the primary one."""
        return {k: metric for k, metric in self.metrics.items() if k != self.primary}

    def row(self, control: str, protocol: str, parser: str = STRICT) -> Row | None:
        """The row of a control, protocol and parser, if there is one."""
        wanted = (control, protocol, parser)
        found = (r for r in self.rows if (r.control, r.protocol, r.parser) == wanted)
        return next(found, None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The content of a results.json: one evaluation of one model.

    Attributes:
        statistics: edition of the statistics; see `STATISTICS`.
        checkpoint, kind, step: who answered.
        split, shards, synthetic: what was asked.
        seconds: how long it took.
        fingerprints: key of a set -> what its result follows from.
        problems: what was wrong with items, a sentence each.
        overall: source -> see `summary.overall`.
        tasks: key -> entry.
    """

    statistics: int = 1
    checkpoint: str
    kind: str
    step: int
    split: str
    synthetic: bool
    seed: int
    shards: str
    seconds: float
    fingerprints: Mapping[str, str]
    problems: list[str]
    overall: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, TaskResult]

    @property
    def headline(self) -> list[TaskResult]:
        """The tasks that the means are over."""
        return [task for task in self.tasks.values() if task.headline]

    def to_json(self) -> dict[str, Any]:
        """As plain data; what is not known is left out."""
        content = dataclasses.asdict(self)
        for task in content["tasks"].values():
            del task["key"]
            for one in (task, *task["rows"]):
                for name in ("beyond_context", "calibration"):
                    if one.get(name, True) is None:
                        del one[name]
        return content


def parse(content: Mapping[str, Any]) -> Evaluation:
    """The content of a results.json as an evaluation.

    Raises:
        TypeError, KeyError, AttributeError: a field is missing or unknown.
    """
    tasks = {}
    for key, entry in content["tasks"].items():
        made = {name: tuple(entry[name]) for name in ("ages", "interval")}
        made["metrics"] = _metrics(entry["metrics"])
        made["rows"] = tuple(
            Row(**{**row, "metrics": _metrics(row["metrics"])}) for row in entry["rows"]
        )
        tasks[key] = TaskResult(key=key, **{**entry, **made})
    return Evaluation(**{**content, "tasks": tasks})


def _metrics(found) -> dict[str, Metric]:
    return {
        name: Metric(**{**one, "interval": tuple(one["interval"])})
        for name, one in found.items()
    }


def read_json(path: epath.Path) -> dict[str, Any]:
    """Reads a results file of any edition.

    Raises:
        UserError: it is not one.
    """
    data = read_bytes(path)
    try:
        return {"fingerprints": {}, "tasks": {}, **json.loads(data)}
    except (ValueError, TypeError, RecursionError):
        raise UserError(
            f"{path} is not a results.json (damaged?); delete it and run again"
        ) from None


def read_evaluation(folder: epath.Path) -> Evaluation:
    """Reads the results of an evaluation's folder.

    Raises:
        UserError: they are missing, damaged, or of an earlier edition.
    """
    path = folder / RESULTS
    content = read_json(path)
    try:
        return parse(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a whole evaluation of this version (at {error}); run "
            f"python -m babyvlm_jax.convert upgrade {folder}, or evaluate again"
        ) from None


def find_evaluation(path: str | epath.Path, name: str = "") -> epath.Path:
    """The folder of an evaluation: the path itself, or one in a work directory.

    Args:
        path: the folder, or the work directory.
        name: of the folder in WORKDIR/eval; by default the greatest STEP.

    Raises:
        UserError: there is none.
    """
    folder = epath.Path(path)
    if not name and (folder / RESULTS).exists():
        return folder
    names = sorted(one.parent.name for one in folder.glob(f"eval/*/{RESULTS}"))
    chosen = name or max(filter(str.isdigit, names), key=int, default="")
    if chosen in names:
        return folder / "eval" / chosen
    wanted = f"{folder}/eval/{name or 'STEP'}/{RESULTS}"
    if names:
        raise UserError(
            f"there is no {wanted}; {folder}/eval has {', '.join(names)}: name one of "
            f"them, as in {folder}/eval/{names[-1]} (of a report, --eval={names[-1]})"
        )
    raise UserError(
        f"no evaluation in {folder} (expected {wanted}); run "
        f"python -m babyvlm_jax.evaluate --workdir={folder} first"
    )


def read_lines(folder: epath.Path) -> list[dict[str, Any]]:
    """Reads predictions.jsonl of an evaluation's folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / PREDICTIONS
    lines = read_bytes(path).splitlines()
    try:
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged; delete {folder} and run again") from None


def read_shown(
    folder: epath.Path, tasks: Mapping[str, TaskResult]
) -> dict[str, dict[str, Line]]:
    """The lines that the scores are of: plain items, under each task's protocol.

    Args:
        folder: of the evaluation.
        tasks: its entries.

    Returns:
        Key of a task -> id -> line, by id.

    Raises:
        UserError: they are missing or damaged.
    """
    found: dict[str, dict[str, Line]] = {key: {} for key in tasks}
    try:
        for line in sorted(read_lines(folder), key=lambda line: line["id"]):
            key = key_of(line)
            if (line["control"], line["protocol"]) == ("", tasks[key].protocol):
                found[key][line["id"]] = line
    except (KeyError, TypeError):
        raise UserError(
            f"{folder}/{PREDICTIONS} is damaged or older than this version; run "
            "convert upgrade on it, or the evaluation again"
        ) from None
    return found


def key_of(line: Line) -> str:
    """Key of the set of items that a line belongs to."""
    return "/".join(filter(None, (line["source"], line["task"])))


def rounds_of(line: Line) -> list[Line]:
    """What was said to each question; a single question is a line's own."""
    return line.get("rounds", [line])


def metrics_of(line: Line, parser: str) -> Mapping[str, float]:
    """An item's metrics as a parser reads it."""
    return line["official"]["metrics"] if parser == OFFICIAL else line["metrics"]
