"""Runs the sets of items of one evaluation, and goes on where it was stopped."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import captions, controls
from babyvlm_jax.evals.asking import ask
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.controls import control_lines, guess
from babyvlm_jax.evals.items import ItemSet, Problem, read_items
from babyvlm_jax.evals.predictors import PredictionsFile, Predictor
from babyvlm_jax.evals.results import summarize
from babyvlm_jax.evals.scoring import Lines, make_line
from babyvlm_jax.evals.store import Folder
from babyvlm_jax.evals.tasks import CAPTION, MATCH
from babyvlm_jax.runtime.errors import SystemFault, UserError, printable

Done = tuple[dict[str, dict], Lines, list[Problem]]


def run_sets(
    cfg: EvalConfig,
    folder: Folder,
    item_sets: Sequence[ItemSet],
    marks: Mapping[str, str],
    predictor: Predictor,
    tell: Callable[[str, int], object],
) -> Done:
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
        found += beyond_context(item_set.key, entry)
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


def beyond_context(key: str, entry: Mapping[str, Any]) -> list[Problem]:
    """Says how many items of a set were cut at the model's context, if any were."""
    cut = entry["beyond_context"]
    if not cut["items"]:
        return []
    found = Problem(
        key,
        "",
        f"{cut['items']} of {entry['n']} items are longer than the model's context, "
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
) -> tuple[dict[str, Any], Lines]:
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
    return entry | {"beyond_context": cut}, lines


def summarize_set(
    item_set: ItemSet,
    protocol: str,
    records: Sequence[Record],
    lines: Lines,
    chances: Mapping[str, Mapping[str, float]],
    seed: int,
) -> tuple[dict[str, Any], Lines]:
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
    return summarize(item_set.task, protocol, lines, guesses), lines


def _size(record: Record):
    """Items of a size stand together, so that batches are full."""
    return len(record.images), sum(len(text) for _, text in record.turns), record.id
