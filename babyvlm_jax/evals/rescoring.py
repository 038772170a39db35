"""Evaluations of an earlier edition, scored again from their predictions.

No model runs: what it said is in predictions.jsonl, and the items are read from their
shards. Readings, metrics, intervals and p-values are then those of this edition.
"""

import collections
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from babyvlm_jax.data.files import is_there
from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import Record
from babyvlm_jax.errors import SystemFault, UserError
from babyvlm_jax.evals import captions, store
from babyvlm_jax.evals.items import offered
from babyvlm_jax.evals.lines import Said, make_line
from babyvlm_jax.evals.run import Lines, summarize_set
from babyvlm_jax.evals.sets import (
    ItemSet,
    Problem,
    find_sets,
    parse_sources,
    read_items,
)
from babyvlm_jax.evals.tasks import CAPTION, CHOICE, MATCH, TASKS, Task

RESULTS, PREDICTIONS = "results.json", "predictions.jsonl"
KEPT = {
    RESULTS: "results.before_upgrade.json",
    PREDICTIONS: "predictions.before_upgrade.jsonl",
}
HEADER = (
    *("checkpoint", "kind", "step", "split", "synthetic", "seed", "shards"),
    "seconds",
)
SEED = 0  # of the simulated guesses, as in configs/eval
_UNCOUNTED = (
    "scored again from its predictions; how many items were longer than the model's "
    "context is not known"
)


def find_folders(folder: Path) -> list[Path]:
    """The folders of evaluations in or below `folder`, also of half-upgraded ones."""
    found = {p.parent for name in (RESULTS, KEPT[RESULTS]) for p in folder.rglob(name)}
    return sorted(one for one in found if (one / PREDICTIONS).exists())


def rescore(folder: Path) -> Iterator[str]:
    """Scores an evaluation again if an earlier edition scored it.

    The former results.json and predictions.jsonl stay beside the new ones, see `KEPT`.

    Args:
        folder: WORKDIR/eval/NAME.

    Yields:
        What was done, and a line for each set that could not be scored again.

    Raises:
        UserError: a file is damaged, or no set can be scored again.
    """
    if not (folder / RESULTS).exists():  # stopped while it was written
        for name, kept in KEPT.items():
            shutil.copyfile(folder / kept, folder / name)
    content = store.read_json(folder / RESULTS)
    if content.get("statistics") == store.STATISTICS:
        yield f"{folder}: up to date"
        return
    try:
        header = {name: content[name] for name in HEADER}
        said = collections.defaultdict(list)
        for line in store.read_lines(folder):
            said["/".join(filter(None, (line["source"], line["task"])))].append(line)
        shown = {key: entry["protocol"] for key, entry in content["tasks"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder} is not an evaluation of ours ({error} is missing)"
        ) from None
    item_sets = _find_sets(folder, content)
    entries, lines, problems = {}, [], []
    for key, protocol in shown.items():
        try:
            if key not in item_sets:
                raise UserError(f"it is not in {content['shards']}")
            entries[key], fresh, found = _rescore_set(
                item_sets[key], protocol, said[key]
            )
        except SystemFault:
            raise
        except UserError as error:
            found = [Problem(key, "", f"not scored again: {error}")]
            yield f"{folder}: {found[0]}"
        else:
            lines += fresh
        problems += found
    if not entries:
        raise UserError(f"{folder}: nothing could be scored again")
    for name, kept in KEPT.items():
        shutil.copyfile(folder / name, folder / kept)
    problems = [*content.get("problems", []), *map(str, problems), _UNCOUNTED]
    store.finish(
        store.Folder(str(folder.parent.parent), folder.name),
        header,
        entries,
        lines,
        problems,
        content["fingerprints"],
    )
    yield f"{folder}: {len(entries)} of {len(shown)} tasks scored again"


def _find_sets(folder: Path, content: Mapping[str, Any]) -> dict[str, ItemSet]:
    """Key -> set; shards that were moved along with the run are looked for there."""
    sources = parse_sources(content["shards"])
    beside = folder.parent.parent
    for name, shards in sources.items():
        if not is_there(shards):
            sources[name] = str(beside / Path(shards).name)
    names = {key.rpartition("/")[2] for key in content["tasks"]}
    tasks = [task for name, task in TASKS.items() if name in names]
    found, _ = find_sets(sources, [], tasks, content["split"])
    return {one.key: one for one in found}


def _rescore_set(
    item_set: ItemSet, protocol: str, lines: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], Lines, list[Problem]]:
    """The entry of a set, its lines, and what is wrong with items of it."""
    task = item_set.task
    asked = [line for line in lines if line["protocol"]]  # others ask no model
    protocols = {line["protocol"] for line in asked}
    chosen = bool(protocols & {CHOICE, MATCH})
    if task.score_eos and chosen:
        raise UserError(
            "its likelihoods may leave out the end of an answer, which counts now; "
            "run evaluate again"
        )
    records, problems = read_items(item_set, 0, chosen)
    there = {record.id: record for record in records}
    faults: dict[str, str | None] = {}
    for line in asked:  # one bad line is enough
        name = line["id"]
        faults[name] = faults.get(name) or _fault(task, there.get(name), line)
    known = {problem.id: problem.what for problem in problems}
    found = [
        Problem(item_set.key, name, known.get(name, fault))
        for name, fault in faults.items()
        if fault
    ]
    records = [one for one in records if faults.get(one.id, "not asked") is None]
    if not records:
        why = f"; {found[0]}" if found else ""
        raise UserError(f"no item is left to score{why}")
    kept = {record.id: record for record in records}
    chances = captions.chances(records) if task.answer == CAPTION else {}
    fresh = [
        make_line(
            task,
            item_set.source,
            kept[line["id"]],
            _said(line),
            chances.get(line["id"]),
        )
        for line in asked
        if line["id"] in kept
    ]
    return *summarize_set(item_set, protocol, records, fresh, chances, SEED), found


def _fault(task: Task, record: Record | None, line: Mapping[str, Any]) -> str | None:
    """Why a line cannot be scored again, in words."""
    if record is None:
        return "no such item any more"
    rounds = line.get("rounds", [line])
    questions = questions_of(record)
    if [one.get("prompt") for one in rounds] != [one.prompt for one in questions]:
        return "it was asked something else than what its shard asks now"
    if any(not isinstance(one.get("output"), str) for one in rounds):
        return "the text of an answer ('output') is missing"
    if line["protocol"] != CHOICE:
        return None
    for one, answers in zip(rounds, offered(task, record), strict=True):
        if set(one.get("likelihoods", ())) != set(answers):
            return "the answers that it was offered are not those of today"
    return None


def _said(line: Mapping[str, Any]) -> Said:
    rounds = line.get("rounds", [line])
    shares = [one["likelihoods"] for one in rounds if "likelihoods" in one]
    replies = [one["output"] for one in rounds]
    return Said(line["protocol"], line["control"], replies, shares or None)
