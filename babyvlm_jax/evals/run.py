"""Runs the sets of one evaluation in its folder, and resumes where it was stopped.

Lines are kept in shards until all is answered. Then every file appears whole or not at
all, results.json last, so its presence means a whole evaluation. A fingerprint per set
of items says of what: the model's files, the task's dataset, and the settings.
"""

import dataclasses
import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from etils import epath

from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import captions, controls, tables
from babyvlm_jax.evals.asking import ask
from babyvlm_jax.evals.config import EvalConfig, run_of
from babyvlm_jax.evals.controls import control_lines, guess
from babyvlm_jax.evals.items import ItemSet, Problem, read_items
from babyvlm_jax.evals.predictors import PredictionsFile, Predictor
from babyvlm_jax.evals.results import (
    PREDICTIONS,
    RESULTS,
    STATISTICS,
    Evaluation,
    TaskResult,
    read_json,
)
from babyvlm_jax.evals.scoring import Lines, make_line
from babyvlm_jax.evals.summary import corrected, leaderboard, overall, summarize
from babyvlm_jax.evals.tasks import CAPTION, MATCH
from babyvlm_jax.runtime.errors import (
    SystemFault,
    UserError,
    printable,
)
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.runtime.json_fields import parse_json
from babyvlm_jax.training import settings

LIST = "files.json"  # of a checkpoint; see `checkpoint.whole`
_NO_RESULT = ("order", "leaderboard")  # facts of a task that no result follows from
SUMMARIES = ("build_summary.json", "devcv_summary.json", "v1_summary.json")


def fingerprint(cfg: EvalConfig, path: str, item_set: ItemSet) -> str:
    """Digest of everything that a set's result follows from.

    Args:
        cfg: the settings.
        path: of who answers.
        item_set: what is asked.
    """
    task = dataclasses.asdict(item_set.task)
    facts = {
        "who": _who(epath.Path(path)),
        "dataset": item_set.fingerprint,
        "tokenizer": cfg.tokenizer and _digest(epath.Path(cfg.tokenizer).read_bytes()),
        "task": {k: x for k, x in task.items() if k not in _NO_RESULT},
        "settings": [cfg.suffix, list(cfg.controls), cfg.seed, cfg.max_new_tokens],
    }
    return _digest(json.dumps(facts, sort_keys=True).encode())


def _who(path: epath.Path) -> list:
    """What answers, wherever it lies: checkpoints of ours, a file, other files."""
    if not path.is_dir():
        return [_digest(path.read_bytes())]
    lists = [*path.glob(LIST), *path.glob(f"{settings.CHECKPOINTS}/*/{LIST}")]
    if not lists:
        found = [file for depth in ("*", "*/*", "*/*/*") for file in path.glob(depth)]
        found = [file for file in sorted(found) if not file.is_dir()]
        stats = [(file, file.stat()) for file in found]
        return [(str(p.relative_to(path)), s.length, s.mtime) for p, s in stats]
    config = settings.model_facts(settings.read_config(run_of(path)))
    steps = [[one.parent.name, _listed(one)] for one in sorted(lists)]
    return [_digest(json.dumps(config, sort_keys=True).encode()), steps]


def _listed(path: epath.Path) -> str:
    """Of the files of a checkpoint: their names differ from one save to the next."""
    data = path.read_bytes()
    try:
        listed = parse_json(data)
    except UserError:  # whoever opens it says so
        return _digest(data)
    sizes = listed.get("sizes") if isinstance(listed, dict) else listed
    return _digest(json.dumps(sizes, sort_keys=True).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def find_whole(workdir: str, fingerprints: Mapping[str, str]) -> epath.Path | None:
    """Path of a results.json of just these fingerprints, if there is one.

    One whose intervals and p-values are of an older edition does not count.
    """
    for path in sorted(epath.Path(workdir).glob(f"eval/*/{RESULTS}")):
        found = read_json(path)
        is_same = found["fingerprints"] == fingerprints
        if is_same and found.get("statistics") == STATISTICS:
            return path
    return None


def is_synthetic(shards: str) -> bool:
    """Whether a summary beside the datasets says that they are synthetic."""
    paths = [epath.Path(shards) / name for name in SUMMARIES]
    found = [json.loads(path.read_text()) for path in paths if path.exists()]
    return any(summary.get("synthetic", False) for summary in found)


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
    tell: Callable[[str, int], object],
) -> tuple[dict[str, TaskResult], Lines, list[Problem]]:
    """Asks all sets.

    Args:
        cfg: the settings.
        folder: keeps answers.
        item_sets: what is asked.
        marks: key of a set -> its fingerprint.
        predictor: who answers.
        tell: is told a set's key and the number of its items that are done.

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
                cfg, folder, item_set, mark, records, predictor, tell
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
    if isinstance(predictor, PredictionsFile) and not cfg.limit:
        strangers = predictor.unknown(asked)
        found = [
            Problem(task or "any task", name, "no such item")
            for task, name in strangers
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
    if isinstance(predictor, PredictionsFile):
        lacks = {r.id: predictor.problem(r, needs_options) for r in records}
        problems += [
            Problem(item_set.key, name, what) for name, what in lacks.items() if what
        ]
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
    tell: Callable[[str, int], object],
) -> tuple[TaskResult, Lines]:
    """Asks one set; answers that were kept are not asked for again.

    Returns:
        Its entry of results.json, and its lines.
    """
    task = item_set.task
    predictor = predictor.counting_eos() if task.score_eos else predictor
    lines = folder.read_lines(item_set.key, mark)
    done = {line["id"] for line in lines}
    tell(item_set.key, len(done))
    todo = sorted((r for r in records if r.id not in done), key=_size)
    variants = controls.make_variants(cfg.controls, records)
    chances = captions.chances(records) if task.answer == CAPTION else {}
    how = cfg.how(task)
    for start in range(0, len(todo), cfg.shard_items):
        some = todo[start : start + cfg.shard_items]
        said = ask(predictor, task, some, how, variants)
        fresh = [
            make_line(task, item_set.source, record, one, chances.get(record.id))
            for record, several in zip(some, said, strict=True)
            for one in several
        ]
        folder.keep_lines(item_set.key, mark, fresh)
        lines += fresh
        tell(item_set.key, len(some))
    entry, lines = summarize_set(
        item_set, how.protocols[0], records, lines, chances, cfg.seed
    )
    beyond = []
    if how.protocols != (MATCH,):  # which shows each image alone
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
