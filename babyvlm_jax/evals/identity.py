"""What an evaluation is of, so that a finished one is found and not repeated.

A fingerprint per set of items covers the model's files, the task's dataset, and the
settings.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping

from etils import epath

from babyvlm_jax.evals.config import EvalConfig, run_of
from babyvlm_jax.evals.items import ItemSet
from babyvlm_jax.evals.results import (
    RESULTS,
    STATISTICS,
    read_json,
)
from babyvlm_jax.runtime.errors import (
    UserError,
)
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
