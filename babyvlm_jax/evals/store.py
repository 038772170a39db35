"""The folder of an evaluation: kept shards of predictions, then the whole.

Every file appears whole or not at all, and `results.json` last, so its presence means
a whole evaluation. A fingerprint per set of items says of what: the model's files, the
task's dataset, and the settings.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from etils import epath

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.config import EvalConfig, run_of
from babyvlm_jax.evals.items import ItemSet
from babyvlm_jax.evals.overall import corrected, leaderboard, overall
from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.runtime.json_fields import parse_json
from babyvlm_jax.training import settings

STATISTICS = 2  # edition of intervals and p-values; older results are made again
LIST = "files.json"  # of a checkpoint; see `checkpoint.whole`
SUMMARIES = ("build_summary.json", "devcv_summary.json", "v1_summary.json")


def fingerprint(cfg: EvalConfig, path: str, item_set: ItemSet) -> str:
    """Digest of everything that a set's result follows from.

    Args:
        cfg: the settings.
        path: of who answers.
        item_set: what is asked.
    """
    facts = {
        "who": _who(epath.Path(path)),
        "dataset": item_set.fingerprint,
        "tokenizer": cfg.tokenizer and _digest(epath.Path(cfg.tokenizer).read_bytes()),
        "task": dataclasses.asdict(item_set.task),
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
    for path in sorted(epath.Path(workdir).glob("eval/*/results.json")):
        found = read_json(path)
        is_same = found["fingerprints"] == fingerprints
        if is_same and found.get("statistics") == STATISTICS:
            return path
    return None


def read_json(path: epath.Path) -> dict[str, Any]:
    """Reads a results file.

    Raises:
        UserError: it is not one.
    """
    check_file(path)
    try:
        content = json.loads(path.read_text())
        return {"fingerprints": {}, "tasks": {}, **content}
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{path} is damaged; delete it and run again") from None


def read_lines(folder: epath.Path) -> list[dict[str, Any]]:
    """Reads predictions.jsonl of an evaluation's folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / "predictions.jsonl"
    check_file(path)
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise_system_fault(error, path, about_file=True)
        raise UserError(f"{path} is damaged; delete {folder} and run again") from None


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

    def write_whole(
        self, content: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
    ) -> None:
        """Writes all files, results.json last, and drops the kept shards."""
        if jax.process_index() == 0:
            (self.path / "results.json").unlink(missing_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self._write("predictions.jsonl", text)
        for source in content["overall"]:
            name = f"leaderboard-{source}.json" if source else "leaderboard.json"
            board = leaderboard(tasks_of(content["tasks"], source))
            self._write(name, json.dumps(board, indent=2) + "\n")
        rows = tables.make_rows(content)
        self._write("table.md", tables.markdown(rows))
        self._write("table.tex", tables.latex(rows))
        self._write("results.json", json.dumps(content, indent=2) + "\n")
        if jax.process_index() == 0 and self._parts.exists():
            self._parts.rmtree()

    def _write(self, name, text):
        if jax.process_index() == 0:
            write_atomically(self.path / name, text.encode())


def tasks_of(tasks: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Entries of one source by the task's name."""
    return {
        key.rpartition("/")[2]: entry
        for key, entry in tasks.items()
        if tables.source_of(key) == source
    }


def finish(
    folder: Folder,
    header: Mapping[str, Any],
    entries: Mapping[str, Mapping[str, Any]],
    lines: Sequence[Mapping[str, Any]],
    problems: Sequence[str],
    fingerprints: Mapping[str, str],
) -> dict[str, Any]:
    """Writes a whole evaluation.

    Args:
        folder: where to.
        header: facts of the run.
        entries: key of a set -> its entry.
        lines: all predictions.
        problems: what was wrong with items, a line each.
        fingerprints: key of a set -> fingerprint.

    Returns:
        The content of results.json.
    """
    sources = dict.fromkeys(map(tables.source_of, entries))
    of_source = {source: tasks_of(entries, source) for source in sources}
    tasks = {source: corrected(found) for source, found in of_source.items()}
    content = {
        "statistics": STATISTICS,
        **header,
        "fingerprints": dict(fingerprints),
        "problems": list(problems),
        "overall": {source: overall(found) for source, found in of_source.items()},
        "tasks": {
            key: tasks[tables.source_of(key)][key.rpartition("/")[2]] for key in entries
        },
    }

    def place(line):
        names = ("source", "task", "control", "protocol", "id")
        return [line[name] for name in names]

    folder.write_whole(content, sorted(lines, key=place))
    return content
