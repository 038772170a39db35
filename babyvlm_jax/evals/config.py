"""What an evaluation was asked: its settings, and the models that they name.

Imports no jax: `--help` and the planning of jobs read this.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from etils import epath

from babyvlm_jax.evals.controls import VARIANTS
from babyvlm_jax.evals.items import parse_sources
from babyvlm_jax.evals.tasks import (
    CHOICE,
    MATCH,
    PROTOCOLS,
    Task,
    select_tasks,
)
from babyvlm_jax.runtime.errors import UserError, check_file
from babyvlm_jax.runtime.fields import SEED, Settings, field
from babyvlm_jax.runtime.files import split_list

# Options of equal score: one of them is drawn, seeded by the item's id; or the answer
# is wrong; or it is right, as the original has it, whose first option is the right one.
TIES = ("random", "wrong", "right")


KINDS = ("checkpoint", "transformers", "predictions")
# What needs no mention in the folder's name: (protocols, normalize, score_eos)
_NORMS = ((("generate", "choice"), False, True), (("match", "generate"), True, False))


@dataclasses.dataclass(frozen=True)
class EvalConfig(Settings):
    """Settings of an evaluation; see `configs/eval/devcv.py` and `v1.py`."""

    checkpoint: str
    transformers: str
    predictions: str
    shards: str
    tokenizer: str
    tasks: tuple[str, ...]
    split: str
    protocols: tuple[str, ...] = field(one_of=PROTOCOLS, filled=True)
    permute: bool
    normalize: bool
    score_eos: bool
    score_unknown: bool
    ties: str = field(one_of=TIES)
    max_new_tokens: int = field(ge=1)
    controls: tuple[str, ...] = field(one_of=VARIANTS)
    trajectory: bool
    limit: int = field(ge=0)
    strict: bool
    batch_size: int = field(ge=1)
    buckets: tuple[int, ...] = field(ge=1, filled=True)
    shard_items: int = field(ge=1)
    seed: int = field(**SEED)
    mesh: Mapping[str, int] = field(ge=-1)

    def check(self) -> None:
        self._check_who()
        for name, folder in self.sources.items():
            _need(
                epath.Path(folder).exists(),
                f"config.shards={self.shards!r}: {name or 'it'} ({folder}) does not "
                "exist; set --config.shards=FOLDER",
            )
        self._check_tasks()

    def _check_tasks(self):
        for task in select_tasks(self.tasks):
            _need(
                task.name not in self.tasks or self.protocols_of(task),
                f"config.protocols={self.protocols!r}: the task {task.name!r} is asked "
                f"by {' or '.join(task.protocols)}; add that, or leave out the task",
            )
        _need(
            self.selected_tasks,
            f"config.protocols={self.protocols!r} asks none of the tasks",
        )

    def _check_who(self):
        given = {name: getattr(self, name) for name in KINDS if getattr(self, name)}
        _need(
            len(given) == 1,
            f"who is to answer? {given or 'nothing'} was given; set just one of "
            + ", ".join(f"--config.{name}=PATH" for name in KINDS),
        )
        if self.tokenizer:
            given["tokenizer"] = self.tokenizer
        for name, path in given.items():
            there = all(map(_exists, split_list(path, _exists)))
            _need(there, f"config.{name}={path!r} does not exist")
            if name in ("predictions", "tokenizer"):
                check_file(path)
        theirs = self.kind != "checkpoint"
        _need(
            not (theirs and self.trajectory),
            "config.trajectory=True follows the checkpoints of a run; set "
            "--config.checkpoint",
        )
        altered = self.controls or self.permute or MATCH in self.protocols
        _need(
            not (self.predictions and altered),
            "a file of predictions answers the plain items only; leave out "
            "config.controls, config.permute and the protocol 'match'",
        )

    @property
    def kind(self) -> str:
        """Which of `KINDS` answers."""
        return next(name for name in KINDS if getattr(self, name))

    @property
    def sources(self) -> dict[str, str]:
        """Folders of datasets by the name of their source."""
        return parse_sources(self.shards)

    @property
    def selected_tasks(self) -> tuple[Task, ...]:
        """The tasks that `tasks` names and that are asked by one of `protocols`."""
        return tuple(t for t in select_tasks(self.tasks) if self.protocols_of(t))

    def protocols_of(self, task: Task) -> tuple[str, ...]:
        """The protocols that a task is asked by; the first gives its score."""
        return tuple(name for name in self.protocols if name in task.protocols)

    def needs_options(self, task: Task) -> bool:
        """Whether answers are chosen from those that a prompt offers."""
        return bool({CHOICE, MATCH} & set(self.protocols_of(task)))

    @property
    def suffix(self) -> str:
        """What the folder's name adds to the step: how this differs from the norm."""
        norms = {protocols: rest for protocols, *rest in _NORMS}
        asked = tuple(self.protocols)
        normalize, score_eos = norms.get(asked, _NORMS[0][1:])
        parts = (
            self.split if self.split != "test" else "",
            "-".join(asked) if asked not in norms else "",
            "permuted" if self.permute else "",
            ("summed", "normalized")[self.normalize]
            if self.normalize != normalize
            else "",
            ("no-eos", "eos")[self.score_eos] if self.score_eos != score_eos else "",
            "unknown" if self.score_unknown else "",
            f"ties-{self.ties}" if self.ties != "random" else "",
            f"first{self.limit}" if self.limit else "",
        )
        return "".join(f"-{part}" for part in parts if part)


def _exists(path):
    return epath.Path(path).exists() or any(_glob(path))


def _glob(pattern):
    """Paths on disk or in a bucket, in order; only whole parts of a path are patterns.

    runs/*/joint is looked up from runs/, gs://b/v2/checkpoints/* from
    gs://b/v2/checkpoints/.
    """
    path = epath.Path(pattern)
    parts = [n for n, part in enumerate(path.parts) if set(part) & set("*?[")]
    if not parts:
        return []
    base, rest = path, []
    for _ in path.parts[parts[0] :]:
        rest.insert(0, base.name)
        base = base.parent
    return sorted(base.glob("/".join(rest))) if base.exists() else []


def expand(pattern: str) -> list[str]:
    """Paths that a comma-separated list of paths and patterns names, in order."""
    found = []
    for part in split_list(pattern, _exists):
        found += [part] if epath.Path(part).exists() else map(str, _glob(part))
    return found


def _need(ok: object, message: str) -> None:
    if not ok:
        raise UserError(message)


_CHECKPOINTS = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Target:
    """One model to evaluate.

    Attributes:
        kind: `checkpoint`, `transformers` or `predictions`.
        path: where it is.
        prefix: what its folder's name begins with, where steps alone could be the
            same.
    """

    kind: str
    path: str
    prefix: str = ""

    def folder(self, step: int | None, suffix: str) -> str:
        """Name of the folder of its results."""
        if step is None:
            return f"{epath.Path(self.path).stem}{suffix}"
        return f"{self.prefix}{step}{suffix}"


def find_targets(cfg: EvalConfig) -> list[Target]:
    """The models that the settings name.

    Raises:
        UserError: there are none.
    """
    if cfg.kind != "checkpoint":
        return [Target(cfg.kind, getattr(cfg, cfg.kind))]
    paths = expand(cfg.checkpoint)
    if cfg.trajectory:
        paths = [step for path in paths for step in _steps(path)]
    runs = list(dict.fromkeys(map(run_of, paths)))
    names = _names(runs) if len(runs) > 1 else {}
    return [
        Target("checkpoint", path, f"{names[run_of(path)]}-" if names else "")
        for path in paths
    ]


def run_of(path: str) -> str:
    """The work directory of a checkpoint, which may be the path itself."""
    place = epath.Path(path)
    return str(place.parent.parent if place.parent.name == _CHECKPOINTS else place)


def _steps(path) -> list[str]:
    folder = epath.Path(run_of(path)) / _CHECKPOINTS
    steps = [one for one in folder.glob("*") if one.name.isdigit()]
    if not steps:
        raise UserError(
            f"config.trajectory=True: {folder} holds no checkpoints; train with "
            "--config.keep=N to keep more than the last"
        )
    return [str(step) for step in sorted(steps, key=lambda step: int(step.name))]


def _names(runs: Sequence[str]) -> dict[str, str]:
    """Run -> its last folders' names, as few as tell the runs apart.

    runs/a/instruct and runs/b/instruct are called a-instruct and b-instruct.
    """
    for depth in range(1, 10):
        names = {run: "-".join(epath.Path(run).parts[-depth:]) for run in runs}
        if len(set(names.values())) == len(runs):
            return names
    return {run: str(number) for number, run in enumerate(runs)}
