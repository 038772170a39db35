"""Evaluations of an earlier edition, scored again from their predictions.

No model runs: what it said is in predictions.jsonl, and the items are read from their
shards. Readings, metrics, intervals and p-values are then those of this edition.
"""

import collections
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import captions
from babyvlm_jax.evals.items import (
    ItemSet,
    Problem,
    find_sets,
    offered,
    parse_sources,
    read_items,
)
from babyvlm_jax.evals.results import (
    HEADER,
    PREDICTIONS,
    RESULTS,
    STATISTICS,
    TaskResult,
    key_of,
    read_json,
    read_lines,
    rounds_of,
)
from babyvlm_jax.evals.run import Folder, finish, summarize_set
from babyvlm_jax.evals.scoring import Answer, Lines, make_line
from babyvlm_jax.evals.tables import CONTROLS
from babyvlm_jax.evals.tasks import CHOICE, MATCH, PROTOCOLS, TASKS, Task
from babyvlm_jax.runtime import json_fields
from babyvlm_jax.runtime.errors import SystemFault, UserError
from babyvlm_jax.runtime.files import is_there

KEPT = {
    RESULTS: "results.before_upgrade.json",
    PREDICTIONS: "predictions.before_upgrade.jsonl",
}
_NAMES = ("source", "task", "id", "control", "protocol")  # of a line
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
    content = read_json(folder / RESULTS)
    if content.get("statistics") == STATISTICS:
        yield f"{folder}: up to date"
        return
    shown, said = _read_evaluation(folder, content)
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
    finish(
        Folder(str(folder.parent.parent), folder.name),
        {name: content[name] for name in HEADER},
        entries,
        lines,
        [*map(str, [*content["problems"], *problems]), _UNCOUNTED],
        content["fingerprints"],
    )
    yield f"{folder}: {len(entries)} of {len(shown)} tasks scored again"


def _read_evaluation(
    folder: Path, content: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, Lines]]:
    """Key of a set -> the protocol of its score; and -> its lines, with known names.

    Raises:
        UserError: a field is missing or of another type.
    """
    try:
        for name in ("shards", "split", "checkpoint"):
            json_fields.text(content, name)
        kinds = dict.fromkeys(HEADER, object)
        kinds |= {"problems": list, "fingerprints": dict, "tasks": dict}
        for name, kind in kinds.items():
            if name not in content or not isinstance(content[name], kind):
                raise UserError(f"{name} is missing, or of another type")
        shown = {
            key: json_fields.text(entry, "protocol")
            for key, entry in content["tasks"].items()
        }
        said = collections.defaultdict(list)
        for line in read_lines(folder):
            *_, control, protocol = [json_fields.text(line, name) for name in _NAMES]
            if control not in ("", *CONTROLS) or protocol not in ("", *PROTOCOLS):
                raise UserError(f"a line is of {control!r}, {protocol!r}")
            said[key_of(line)].append(line)
    except (TypeError, UserError) as error:
        raise UserError(f"{folder} is not an evaluation of ours: {error}") from None
    return shown, said


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
) -> tuple[TaskResult, Lines, list[Problem]]:
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
    if protocol not in protocols:
        raise UserError(f"it has no predictions of the protocol {protocol!r}")
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
    chances = captions.chances(task, records)
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
    rounds = rounds_of(line)
    questions = questions_of(record)
    if not isinstance(rounds, list) or not all(isinstance(r, dict) for r in rounds):
        return "its rounds ('rounds') are no list of objects"
    if [one.get("prompt") for one in rounds] != [one.prompt for one in questions]:
        return "it was asked something else than what its shard asks now"
    if any(not isinstance(one.get("output"), str) for one in rounds):
        return "the text of an answer ('output') is missing"
    shares = [one.get("likelihoods", {}) for one in rounds]
    if not all(isinstance(one, dict) for one in shares) or not all(
        isinstance(share, int | float) and 0 <= share <= 1
        for one in shares
        for share in one.values()
    ):
        return "its likelihoods are no numbers"
    if line["protocol"] != CHOICE:
        return None
    if [set(one) for one in shares] != [set(one) for one in offered(task, record)]:
        return "the answers that it was offered are not those of today"
    return None


def _said(line: Mapping[str, Any]) -> Answer:
    rounds = rounds_of(line)
    shares = [one["likelihoods"] for one in rounds if "likelihoods" in one]
    replies = [one["output"] for one in rounds]
    return Answer(line["protocol"], line["control"], replies, shares or None)
