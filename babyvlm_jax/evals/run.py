"""Runs the sets of one evaluation: from lines of answers to the files of its folder.

Lines are kept in shards until all is answered, so that a stopped evaluation resumes.
Then they are summarised: an entry per task with a row of metrics for each control,
protocol and parser, and means over tasks. Every file appears whole or not at all,
results.json last, so its presence means a whole evaluation.
"""

import collections
import dataclasses
import itertools
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import captions, controls, tables
from babyvlm_jax.evals.asking import ask
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.controls import CONSTANT, control_lines, guess
from babyvlm_jax.evals.items import ItemSet, Problem, read_items
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.results import (
    OFFICIAL,
    PREDICTIONS,
    RESULTS,
    STATISTICS,
    STRICT,
    Evaluation,
    Line,
    Metric,
    Row,
    TaskResult,
    metrics_of,
    rounds_of,
)
from babyvlm_jax.evals.scoring import Lines, make_line
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
from babyvlm_jax.runtime.errors import (
    SystemFault,
    UserError,
    printable,
)
from babyvlm_jax.runtime.files import write_atomically


class Folder:
    """One evaluation's folder, WORKDIR/eval/NAME; process 0 writes, all read."""

    def __init__(self, workdir: str, name: str):
        self.path = epath.Path(workdir) / "eval" / name
        self._parts = self.path / ".partial"

    def _shards(self, key: str) -> list[epath.Path]:
        return sorted((self._parts / key.replace("/", "--")).glob("*.json"))

    def read_lines(self, key: str, mark: str) -> list[dict[str, Any]]:
        """Lines of a set that were kept before, if their fingerprint is `mark`."""
        lines = []
        for path in self._shards(key):
            shard = json.loads(path.read_text())
            lines += shard["lines"] if shard["fingerprint"] == mark else []
        return lines

    def keep_lines(self, key: str, mark: str, lines: Sequence[Mapping]) -> None:
        """Appends a shard of lines."""
        number = len(self._shards(key))
        name = f".partial/{key.replace('/', '--')}/{number:05d}.json"
        self._write(name, json.dumps({"fingerprint": mark, "lines": list(lines)}))

    def write_whole(self, result: Evaluation, lines: Lines) -> None:
        """Writes all files, results.json last, and drops the kept shards."""
        if jax.process_index() == 0:
            (self.path / RESULTS).unlink(missing_ok=True)
        self._write(PREDICTIONS, "".join(json.dumps(line) + "\n" for line in lines))
        for source in result.overall:
            name = f"leaderboard-{source}.json" if source else "leaderboard.json"
            own = {t.name: t for t in result.tasks.values() if t.source == source}
            self._write(name, json.dumps(leaderboard(own), indent=2) + "\n")
        rows = tables.make_rows(result)
        self._write("table.md", tables.markdown(rows))
        self._write("table.tex", tables.latex(rows))
        self._write(RESULTS, json.dumps(result.to_json(), indent=2) + "\n")
        if jax.process_index() == 0 and self._parts.exists():
            self._parts.rmtree()

    def _write(self, name, text):
        if jax.process_index() == 0:
            write_atomically(self.path / name, text.encode())


def finish(
    folder: Folder,
    header: Mapping[str, Any],
    entries: Mapping[str, TaskResult],
    lines: Lines,
    problems: Sequence[str],
    fingerprints: Mapping[str, str],
) -> Evaluation:
    """Writes a whole evaluation.

    Args:
        folder: where to.
        header: facts of the run, see `results.HEADER`.
        entries: key of a set -> its entry.
        lines: all predictions.
        problems: what was wrong with items, a line each.
        fingerprints: key of a set -> fingerprint.

    Returns:
        What results.json holds: the entries, and the means of each source.
    """
    sources: dict[str, dict[str, TaskResult]] = {}
    for entry in entries.values():
        sources.setdefault(entry.source, {})[entry.name] = entry
    tasks = {
        entry.key: entry
        for found in sources.values()
        for entry in corrected(found).values()
    }
    result = Evaluation(
        statistics=STATISTICS,
        **header,
        fingerprints=dict(fingerprints),
        problems=list(problems),
        overall={source: overall(found) for source, found in sources.items()},
        tasks={key: tasks[key] for key in entries},
    )
    place = operator.itemgetter("source", "task", "control", "protocol", "id")
    folder.write_whole(result, sorted(lines, key=place))
    return result


def run_sets(
    cfg: EvalConfig,
    folder: Folder,
    item_sets: Sequence[ItemSet],
    marks: Mapping[str, str],
    predictor: Predictor,
    progress: Callable[[str, int], object],
) -> tuple[dict[str, TaskResult], Lines, list[Problem]]:
    """Asks all sets.

    Args:
        cfg: the settings.
        folder: keeps answers.
        item_sets: what is asked.
        marks: key of a set -> its fingerprint.
        predictor: who answers.
        progress: is called with a set's key and the number of its items that are done.

    Returns:
        Key of a set -> its entry of results.json; all lines; all problems.

    A set that cannot be evaluated is a problem, and does not stop the others.

    Raises:
        UserError: a problem, and the settings are strict; or no set can be evaluated.
    """
    entries, lines, problems = {}, [], []
    asked: dict[str, list[str]] = {}
    for item_set in item_sets:
        mark = marks[item_set.key]
        try:
            records, found = usable_items(cfg, item_set, predictor)
            entry, fresh = run_set(
                cfg, folder, item_set, mark, records, predictor, progress
            )
        except SystemFault:
            raise
        except UserError as error:
            if cfg.strict or len(item_sets) == 1:
                raise
            problems.append(Problem(item_set.key, "", f"the whole set: {error}"))
            report_problems(problems[-1:], strict=False)
            continue
        found += beyond_context(entry)
        entries[item_set.key] = entry
        lines += fresh
        problems += found
        names = asked.setdefault(item_set.task.name, [])
        names += [record.id for record in records] + [one.id for one in found]
    if not entries:
        raise UserError(f"no set can be evaluated; {problems[0]}")
    if not cfg.limit:
        found = [
            Problem(task or "any task", name, "no such item")
            for task, name in predictor.unknown(asked)
        ]
        report_problems(found, cfg.strict)
        problems += found
    return entries, lines, problems


def beyond_context(entry: TaskResult) -> list[Problem]:
    """Says how many items of a set were cut at the model's context, if any were."""
    cut = entry.beyond_context
    if not cut["items"]:
        return []
    found = Problem(
        entry.key,
        "",
        f"{cut['items']} of {entry.n} items are longer than the model's context, "
        f"the longest {cut['longest']} tokens; they are asked up to there, as the "
        "original does",
    )
    print(f"note: {found}")
    return [found]


def usable_items(
    cfg: EvalConfig, item_set: ItemSet, predictor: Predictor
) -> tuple[list[Record], list[Problem]]:
    """The items that can be asked and answered, and what is wrong with the others.

    Raises:
        UserError: there are none, or there is a problem and the settings are strict.
    """
    needs_options = cfg.needs_options(item_set.task)
    records, problems = read_items(item_set, cfg.limit, needs_options)
    lacks = {record.id: predictor.problem(record, needs_options) for record in records}
    problems += [Problem(item_set.key, *one) for one in lacks.items() if one[1]]
    records = [record for record in records if not lacks[record.id]]
    report_problems(problems, cfg.strict)
    if not records:
        raise UserError(f"{item_set.key}: no item is left to score; {problems[0]}")
    return records, problems


def report_problems(problems: Sequence[Problem], strict: bool) -> None:
    """Names the first few problems of a set and counts them.

    Raises:
        UserError: there is one, and it shall stop the run.
    """
    if problems and strict:
        raise UserError(
            f"{len(problems)} problems, the first: {problems[0]}; mend the data, or "
            "set --config.strict=False to go on without such items"
        )
    for problem in problems[:3]:
        print(printable(f"left out: {problem}"))
    if len(problems) > 3:
        print(f"left out: {len(problems) - 3} more of {problems[0].key}")


def run_set(
    cfg: EvalConfig,
    folder: Folder,
    item_set: ItemSet,
    mark: str,
    records: Sequence[Record],
    predictor: Predictor,
    progress: Callable[[str, int], object],
) -> tuple[TaskResult, Lines]:
    """Asks one set; answers that were kept are not asked for again.

    Returns:
        Its entry of results.json, and its lines.
    """
    task = item_set.task
    predictor = predictor.counting_eos() if task.score_eos else predictor
    lines = folder.read_lines(item_set.key, mark)
    done = {line["id"] for line in lines}
    progress(item_set.key, len(done))
    todo = sorted((r for r in records if r.id not in done), key=_size)
    variants = controls.make_variants(cfg.controls, records)
    chances = captions.chances(task, records)
    protocols = cfg.protocols_of(task)
    how = protocols, cfg.controls, cfg.permute, cfg.ties
    for start in range(0, len(todo), cfg.shard_items):
        some = todo[start : start + cfg.shard_items]
        said = ask(predictor, task, some, variants, *how)
        fresh = [
            make_line(task, item_set.source, record, one, chances.get(record.id))
            for record, several in zip(some, said, strict=True)
            for one in several
        ]
        folder.keep_lines(item_set.key, mark, fresh)
        lines += fresh
        progress(item_set.key, len(some))
    entry, lines = summarize_set(
        item_set, protocols[0], records, lines, chances, cfg.seed
    )
    beyond = []
    if protocols != (MATCH,):  # which shows each image alone
        beyond = predictor.beyond_context(records)
    cut = {"items": len(beyond), "longest": max(beyond, default=0)}
    return dataclasses.replace(entry, beyond_context=cut), lines


def summarize_set(
    item_set: ItemSet,
    protocol: str,
    records: Sequence[Record],
    lines: Lines,
    chances: Mapping[str, Mapping[str, float]],
    seed: int,
) -> tuple[TaskResult, Lines]:
    """Adds the controls that need no model to a set's lines, and summarises all.

    Args:
        item_set: the set.
        protocol: the one whose score the entry shows.
        records: its items.
        lines: of a model.
        chances: by id, see `make_line`.
        seed: of the simulated guesses.

    Returns:
        Its entry of results.json, and the lines with those of the controls.
    """
    lines = lines + control_lines(item_set, records, chances)
    guesses = guess(item_set.task, records, seed)
    entry = summarize(item_set.task, item_set.key, protocol, lines, guesses)
    return entry, lines


def _size(record: Record):
    """Items of a size stand together, so that batches are full."""
    return len(record.images), sum(len(text) for _, text in record.turns), record.id


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
