"""What an evaluation was asked, and its folder: kept parts, whole results.

Every file appears whole or not at all, and `results.json` last, so its presence means
a whole evaluation. A fingerprint per task says of what: the checkpoint's files, the
task's dataset, and the settings.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
from etils import epath

from babyvlm_jax.data.files import write_atomically
from babyvlm_jax.data.schema import dataset_dir
from babyvlm_jax.errors import UserError
from babyvlm_jax.evals.mechanisms import MECHANISMS
from babyvlm_jax.evals.results import leaderboard
from babyvlm_jax.evals.tasks import Task, select_tasks

SUMMARIES = ("build_summary.json", "devcv_summary.json")


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation; see `configs/eval/devcv.py`."""

    checkpoint: str
    shards: str
    tokenizer: str
    tasks: tuple[str, ...]
    split: str
    mechanism: str
    normalize: bool
    blank_images: bool
    limit: int
    batch_size: int
    buckets: tuple[tuple[int, int], ...]
    seed: int
    mesh: Mapping[str, int]

    def __post_init__(self):
        paths = {"checkpoint": self.checkpoint, "shards": self.shards}
        if self.tokenizer:
            paths["tokenizer"] = self.tokenizer
        for field, path in paths.items():
            if not path or not epath.Path(path).exists():
                raise UserError(
                    f"config.{field}={path!r} does not exist; set --config.{field}=PATH"
                )
        if self.mechanism not in MECHANISMS:
            raise UserError(
                f"config.mechanism={self.mechanism!r}: expected one of {MECHANISMS}"
            )
        if self.batch_size < 1 or self.limit < 0:
            raise UserError(
                f"config.batch_size={self.batch_size} must be positive and "
                f"config.limit={self.limit} not negative"
            )
        if not self.buckets or min(map(min, self.buckets)) < 1:
            raise UserError(
                f"config.buckets={self.buckets}: expected pairs (tokens, images), all "
                "positive, smallest first"
            )
        select_tasks(self.tasks)

    @property
    def selected_tasks(self) -> tuple[Task, ...]:
        """The tasks that `tasks` names."""
        return select_tasks(self.tasks)

    @property
    def suffix(self) -> str:
        """What the folder's name adds to the step: how this differs from the norm."""
        parts = (
            self.split if self.split != "test" else "",
            self.mechanism,
            "normalized" if self.normalize else "",
            "blank" if self.blank_images else "",
            f"first{self.limit}" if self.limit else "",
        )
        return "".join(f"-{part}" for part in parts if part)


def fingerprint(cfg: EvalConfig, task: Task) -> str:
    """Digest of everything that a task's result follows from."""
    folder = epath.Path(cfg.checkpoint)
    states = folder / "checkpoints"
    facts = {
        "checkpoint": _list_files(states if states.exists() else folder),
        "dataset": _list_files(dataset_dir(cfg.shards, task.dataset)),
        "tokenizer": cfg.tokenizer and _digest(epath.Path(cfg.tokenizer).read_bytes()),
        "task": dataclasses.asdict(task),
        "settings": [cfg.split, cfg.suffix, cfg.seed],
    }
    return _digest(json.dumps(facts, sort_keys=True).encode())


def _list_files(folder) -> list[tuple[str, int, float]]:
    """(name, size, time of change) down to a checkpoint's item files."""
    found = [path for depth in ("*", "*/*", "*/*/*") for path in folder.glob(depth)]
    stats = [(path, path.stat()) for path in sorted(found) if not path.is_dir()]
    return [(str(p.relative_to(folder)), s.length, s.mtime) for p, s in stats]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def find_whole(workdir: str, fingerprints: Mapping[str, str]) -> epath.Path | None:
    """Path of a results.json of just these fingerprints, if there is one."""
    for path in sorted(epath.Path(workdir).glob("eval/*/results.json")):
        if read_json(path)["fingerprints"] == fingerprints:
            return path
    return None


def read_json(path: epath.Path) -> dict[str, Any]:
    """Reads a results file.

    Raises:
        UserError: it is not one.
    """
    try:
        content = json.loads(path.read_text())
        return {"fingerprints": {}, "tasks": {}, **content}
    except (ValueError, TypeError):
        raise UserError(f"{path} is damaged; delete it and run again") from None


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

    def read_part(self, task: str, mark: str) -> dict[str, Any] | None:
        """A task that was finished before, if its fingerprint is `mark`."""
        path = self._parts / f"{task}.json"
        if not path.exists():
            return None
        part = json.loads(path.read_text())
        return part["part"] if part["fingerprint"] == mark else None

    def write_part(self, task: str, mark: str, part: Mapping[str, Any]) -> None:
        """Keeps a finished task."""
        content = {"fingerprint": mark, "part": part}
        self._write(f".partial/{task}.json", json.dumps(content))

    def write_whole(
        self, content: Mapping[str, Any], predictions: list[Mapping[str, Any]]
    ) -> None:
        """Writes the three files, results.json last, and drops the parts."""
        results = "results.json"
        if jax.process_index() == 0:
            (self.path / results).unlink(missing_ok=True)
        lines = [json.dumps(prediction) + "\n" for prediction in predictions]
        self._write("predictions.jsonl", "".join(lines))
        board = leaderboard(content["tasks"])
        self._write("leaderboard.json", json.dumps(board, indent=2) + "\n")
        self._write(results, json.dumps(content, indent=2) + "\n")
        if jax.process_index() == 0 and self._parts.exists():
            self._parts.rmtree()

    def _write(self, name, text):
        if jax.process_index() == 0:
            write_atomically(self.path / name, text.encode())


def finish(
    folder: Folder,
    header: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Any]],
    fingerprints: Mapping[str, str],
) -> dict[str, Any]:
    """Writes a whole evaluation.

    Args:
        folder: where to.
        header: facts of the run.
        parts: task name -> `entry`, `predictions`, `seconds`.
        fingerprints: task name -> fingerprint.

    Returns:
        The content of results.json.
    """
    content = {
        **header,
        "seconds": round(sum(part["seconds"] for part in parts.values()), 1),
        "fingerprints": dict(fingerprints),
        "tasks": {name: part["entry"] for name, part in parts.items()},
    }
    predictions = [line for part in parts.values() for line in part["predictions"]]
    predictions.sort(key=lambda line: (line["task"], line["id"]))
    folder.write_whole(content, predictions)
    return content
