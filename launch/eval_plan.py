"""What a batch evaluation has to do: checkpoints x groups of tasks not done yet."""

import dataclasses
import functools
import hashlib
import re
from collections.abc import Sequence

from etils import epath

from babyvlm_jax.evals.config import EvalConfig, Target, find_targets, run_of
from babyvlm_jax.evals.identity import find_whole, fingerprint
from babyvlm_jax.evals.items import ItemSet, find_sets
from babyvlm_jax.evals.results import (
    HEADER,
    RESULTS,
    Evaluation,
    read_evaluation,
    read_json,
    read_lines,
)
from babyvlm_jax.evals.run import Folder, finish
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training.checkpoint.reading import FOLDER, whole_steps

PIECES = "pieces"  # WORKDIR/pieces/CHECKPOINT/GROUP holds a job's own evaluation
LONGEST_NAME = 62  # what `Job` allows
GROUPINGS = ("domain", "task", "all")


@dataclasses.dataclass(frozen=True)
class Plan:
    """One config's evaluation of several checkpoints.

    Attributes:
        config: as the command line has it.
        overrides: as they were given, `--config.limit=8`.
        cfg: the settings, of all checkpoints and all tasks.
        workdir: gets `eval/` and `pieces/`.
        grouping: what the tasks of one job have in common: one of `GROUPINGS`.
    """

    config: str
    overrides: tuple[str, ...]
    cfg: EvalConfig
    workdir: str
    grouping: str

    @functools.cached_property
    def item_sets(self) -> list[ItemSet]:
        """The sets of items that there are."""
        cfg = self.cfg
        return find_sets(cfg.sources, cfg.tasks, cfg.selected_tasks, cfg.split)[0]

    def groups(self) -> dict[str, list[ItemSet]]:
        """Name of a group -> its sets of items, none of which is empty."""
        found: dict[str, list[ItemSet]] = {}
        for one in self.item_sets:
            name = {"domain": one.task.domain, "task": one.task.name, "all": "all"}
            found.setdefault(_plain(name[self.grouping]), []).append(one)
        return found

    def targets(self) -> list[Target]:
        """The whole checkpoints that are there now, in order.

        A work directory stands for all of its own. What is still being written, or is
        not whole, is left out.
        """
        found = []
        for target in find_targets(self.cfg):
            path, folder = epath.Path(target.path), _folder_of(target)
            whole, _ = whole_steps(folder)
            under = path.parent.name == FOLDER
            found += [
                dataclasses.replace(target, path=str(folder / str(step)))
                for step in whole
                if not under or path.name == str(step)
            ]
        return sorted(found, key=lambda one: (one.prefix, step_of(one)))

    def folder(self, target: Target) -> str:
        """Name of the folder of a checkpoint's results."""
        return target.folder(step_of(target), self.cfg.suffix)

    def marks(self, target: Target, some: Sequence[ItemSet]) -> dict[str, str]:
        """Key of a set of items -> fingerprint of its result."""
        return {one.key: fingerprint(self.cfg, target.path, one) for one in some}

    def is_done(self, target: Target) -> bool:
        """Whether the checkpoint's whole evaluation is there."""
        marks = self.marks(target, self.item_sets)
        return find_whole(self.workdir, marks) is not None

    def evaluated(self) -> dict[str, Evaluation]:
        """Name of a folder of whole results -> the evaluation, in order."""
        raw = {
            path.parent: read_json(path)  # other models' may be of an earlier edition
            for path in epath.Path(self.workdir).glob(f"eval/*/{RESULTS}")
        }
        ours = {
            folder.name: read_evaluation(folder)
            for folder, one in raw.items()
            if one.get("kind") == "checkpoint"
            and folder.name.endswith(f"{one['step']}{self.cfg.suffix}")
        }

        def place(name):
            return run_of(ours[name].checkpoint), ours[name].step

        return {name: ours[name] for name in sorted(ours, key=place)}

    def pieces(self, target: Target) -> list["Piece"]:
        """The jobs of a checkpoint, done ones too."""
        return [
            Piece(self, target, name, tuple(some))
            for name, some in self.groups().items()
        ]


@dataclasses.dataclass(frozen=True)
class Piece:
    """One job: one checkpoint on one group of tasks.

    Attributes:
        group: the group's name.
        sets: its sets of items.
    """

    plan: Plan
    target: Target
    group: str
    sets: tuple[ItemSet, ...]

    @property
    def name(self) -> str:
        """The same each time, so that a cluster knows the job again."""
        folder = self.plan.folder(self.target)
        run = epath.Path(run_of(self.target.path)).name
        name = _plain(f"eval-{run}-{folder}-{self.group}")
        if len(name) > LONGEST_NAME:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f"{name[: LONGEST_NAME - 9]}-{digest}"
        return name

    @property
    def workdir(self) -> str:
        folder = self.plan.folder(self.target)
        return f"{self.plan.workdir}/{PIECES}/{folder}/{self.group}"

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the plan's config is changed by."""
        names = tuple(dict.fromkeys(one.task.name for one in self.sets))
        return (
            *self.plan.overrides,
            f"--config.checkpoint={self.target.path}",
            f"--config.tasks={names!r}",
        )

    def result(self) -> epath.Path | None:
        """Path of its results.json, if it is done."""
        marks = self.plan.marks(self.target, self.sets)
        return find_whole(self.workdir, marks)


def _folder_of(target: Target) -> epath.Path:
    return epath.Path(run_of(target.path)) / FOLDER


def step_of(target: Target) -> int:
    """The step of a target of `Plan.targets`."""
    return int(epath.Path(target.path).name)


def merge(plan: Plan, target: Target) -> None:
    """Puts a checkpoint's evaluation together from its jobs' if they are all done.

    It is what one evaluation of all tasks would have written, in WORKDIR/eval/, and
    `babyvlm_jax.evaluate` takes it for that.

    Raises:
        UserError: a job's files are damaged.
    """
    marks = plan.marks(target, plan.item_sets)
    paths = [piece.result() for piece in plan.pieces(target)]
    if None in paths or find_whole(plan.workdir, marks):
        return
    results = [read_evaluation(path.parent) for path in paths]
    header = {name: getattr(results[0], name) for name in HEADER}
    header["seconds"] = round(sum(one.seconds for one in results), 1)
    entries = {key: entry for one in results for key, entry in one.tasks.items()}
    finish(
        Folder(plan.workdir, plan.folder(target)),
        header,
        {key: entries[key] for key in marks},
        [line for path in paths for line in read_lines(path.parent)],
        [problem for one in results for problem in one.problems],
        marks,
    )


def _plain(text: str) -> str:
    """Letters, digits and dashes: Function/Memory gives function-memory.

    Raises:
        UserError: nothing is left.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not plain:
        raise UserError(f"{text!r} has no letter or digit to make a name of")
    return plain
