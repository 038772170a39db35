"""Who is evaluated: one model, several checkpoints, or all of a run in order."""

import dataclasses
from collections.abc import Sequence

from etils import epath

from babyvlm_jax.evals.config import EvalConfig, expand
from babyvlm_jax.runtime.errors import UserError

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
