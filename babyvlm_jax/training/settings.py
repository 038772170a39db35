"""One training phase, as typed settings made from a resolved config.

A config section becomes the frozen dataclass of the part it configures; this file
owns what is left: which phase it is, how long it runs, where it starts from.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from babyvlm_jax.data.config import DataConfig
from babyvlm_jax.models.config import (
    PAIR_PARTS,
    PARTS,
    ContrastiveConfig,
    DinoConfig,
    VLMConfig,
)
from babyvlm_jax.runtime.errors import UserError, check_file
from babyvlm_jax.runtime.fields import SEED, Settings, field, from_dict
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.runtime.json_fields import parse_json
from babyvlm_jax.training import objectives
from babyvlm_jax.training.config import OptimConfig, ValidationConfig

ON_NONFINITE = ("stop", "rollback")

# A run may go on with other values of these: they do not decide what it learns. (The
# mesh decides the order of sums, and so the last bits; on_nonfinite, how a run goes on
# that could not. The name is for messages.)
FREE = (
    "name",
    "mesh",
    "log_every",
    "save_every",
    "keep",
    "keep_every",
    "on_nonfinite",
    "watchdog_s",
    "trace_steps",
    "data.num_threads",
    "data.prefetch",
    "data.cache_images",
    "data.cache_images_mb",
)

# Where something lies. What it holds is compared instead: see `data.identity`, and
# `data.features.check`. What a run began from no longer matters once it has begun.
PLACES = ("data.shards", "data.tokenizer", "data.features", "warm_start")

# What the processes of one run may have of their own: each reads its own disk.
OWN = (
    "data.shards",
    "data.tokenizer",
    "data.features",
    "data.num_threads",
    "data.prefetch",
    "data.cache_images",
    "data.cache_images_mb",
)

MONTH_S = 31 * 24 * 3600
CHECKPOINTS = "checkpoints"  # folder in a work directory


@dataclasses.dataclass(frozen=True)
class TrainSettings(Settings):
    """What one run of `train.py` does.

    Attributes:
        name: the phase's name, for logs.
        loss: `tokens` (next token on packed rows), `dino` (self-distillation) or
            `contrastive` (pictures and their utterances).
        contrastive: the text tower, and what belongs to both; the image tower is
            `model.vision`.
        validation: on held-out records, and what it decides.
        seed: of initialisation and of every draw inside the step; the data has its own.
        num_steps: length of the run.
        parts: top-level parts of the model that exist in this phase.
        warm_start: part of this model -> `WORKDIR[:PREFIX]`, the work directory whose
            parameters under PREFIX (default: the part's name) it takes.
        accumulate: microbatches a step.
        log_every, save_every: in steps.
        keep: how many of the newest checkpoints stay.
        keep_every: checkpoints of multiples of this step stay too; 0 for none.
        on_nonfinite: after five steps in a row without a finite loss and gradient,
            `stop`, or `rollback` to the newest checkpoint and skip the steps since.
        watchdog_s: a longer time without a step ends the run; 0 for never.
        trace_steps: (first, last) step to profile, from 0; empty for none.
    """

    name: str
    model: VLMConfig
    data: DataConfig
    optim: OptimConfig
    dino: DinoConfig
    mesh: Mapping[str, int] = field(ge=-1)
    warm_start: Mapping[str, str]
    contrastive: ContrastiveConfig = dataclasses.field(
        default_factory=ContrastiveConfig
    )
    validation: ValidationConfig = dataclasses.field(default_factory=ValidationConfig)
    loss: str = field("tokens", one_of=objectives.KINDS)
    seed: int = field(0, **SEED)
    num_steps: int = field(1000, ge=1)
    parts: tuple[str, ...] = field(PARTS, one_of=(*PARTS, *PAIR_PARTS[1:]))
    accumulate: int = field(1, ge=1)
    log_every: int = field(10, ge=1)
    save_every: int = field(1000, ge=1)
    keep: int = field(1, ge=1)
    keep_every: int = field(0, ge=0)
    on_nonfinite: str = field("stop", one_of=ON_NONFINITE)
    # ours: compiling takes minutes, a step seconds
    watchdog_s: float = field(1800.0, ge=0, le=MONTH_S)
    trace_steps: tuple[int, ...] = field((), ge=0)

    def check(self) -> None:
        self.need(
            len(self.trace_steps) in (0, 2)
            and list(self.trace_steps) == sorted(self.trace_steps),
            "trace_steps",
            "(first, last), or ()",
        )
        if self.data.batch_size % self.accumulate:
            raise UserError(
                f"config.data.batch_size {self.data.batch_size} is not divisible by "
                f"config.accumulate {self.accumulate}"
            )
        objectives.kind_of(self.loss).check(self)

    @property
    def feature_facts(self) -> dict[str, Any]:
        """What features of the pictures depend on, but for the encoder's weights."""
        vision = self.model.vision
        return {
            "dtype": vision.dtype,
            "image_size": self.data.image_size,
            "scaled_decode": self.data.scaled_decode,
            "tokens": vision.num_tokens,
            "width": vision.width,
        }


@dataclasses.dataclass(frozen=True)
class RecipeSettings(Settings):
    """Phases and the order in which they are trained; `seed` is that of all."""

    order: tuple[str, ...] = field(filled=True)
    phases: Mapping[str, TrainSettings] = field(filled=True)
    seed: int = field(0, **SEED)


def from_config(values: Mapping[str, Any]) -> TrainSettings:
    """Resolved config (a plain dict) -> settings.

    Raises:
        UserError: a missing or unknown key, or a value that a part refuses.
    """
    return from_dict(TrainSettings, values)


def place(recipe: Mapping[str, Any], name: str, workdir) -> dict[str, Any]:
    """A phase of a resolved recipe, with its seed and real paths put in.

    `{workdir}` in a string stands for the recipe's work directory.
    """
    phase = {**recipe["phases"][name], "seed": recipe["seed"]}
    phase["data"] = {**phase["data"], "seed": recipe["seed"]}
    real = json.dumps(str(workdir))[1:-1]
    return json.loads(json.dumps(phase).replace("{workdir}", real))


def model_of(run_config: Mapping[str, Any]) -> VLMConfig:
    """The architecture in a work directory's config.json.

    Its attention is chosen anew: the machine may be another.
    """
    model = from_dict(VLMConfig, run_config["model"], "config.model")
    decoder = dataclasses.replace(model.decoder, attention="auto")
    return dataclasses.replace(model, decoder=decoder)


def read_config(workdir) -> dict[str, Any]:
    """The resolved config of a work directory.

    Raises:
        UserError: there is none.
    """
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(
            f"{workdir} is no work directory: it has no config.json; give the folder "
            "that a training run wrote"
        )
    check_file(path)
    try:
        values = parse_json(path.read_bytes())
    except UserError as error:
        raise UserError(f"{path} is damaged ({error}); bring it back") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is damaged: it holds no config; bring it back")
    return values


def split_source(part: str, source: str) -> tuple[str, str]:
    """`WORKDIR[:PREFIX]` -> (workdir, prefix), the part's name by default.

    A folder on a disk may have a colon in its name: what is there as a whole is one.
    """
    workdir, colon, prefix = source.rpartition(":")
    if not colon or prefix.startswith("//"):  # gs://BUCKET/WORKDIR
        return source, part
    if "://" not in source and (epath.Path(source) / CHECKPOINTS).exists():
        return source, part
    return workdir, prefix


def find_beside(workdir, name: str) -> epath.Path:
    """A file that a work directory's config names, also after a move.

    Args:
        workdir: the work directory.
        name: the path as the config has it, relative to where the run was started.

    Returns:
        The path itself, or that of a file of this name in the work directory or beside
        it; the path itself if there is none.
    """
    path, folder = epath.Path(name), epath.Path(workdir)
    places = (path, folder / path.name, folder.parent / path.name)
    return next((place for place in places if place.exists()), path)


def check_workdir(workdir, values: Mapping[str, Any]) -> bool:
    """Whether a work directory is this run's, as far as its config tells.

    A config under which no step was tried (no metrics.jsonl) gives way: whoever
    corrects a mistake need not clean up first. What does not decide the result
    (`FREE`) may change, and so may paths (`PLACES`).

    Returns:
        Whether everything that the config names lies where it lay; if not, what is
        there has to be compared.

    Raises:
        UserError: the work directory belongs to another config.
    """
    folder = epath.Path(workdir)
    if not all((folder / name).exists() for name in ("config.json", "metrics.jsonl")):
        return True
    there = read_config(folder)
    try:
        before = _identity(there)
    except UserError as error:
        raise UserError(
            f"{folder}/config.json is damaged, or of an edition that had other fields "
            f"({error}); choose another --workdir"
        ) from None
    here = _identity(values)
    for key in sorted(before.keys() | here.keys()):
        if before.get(key) != here.get(key):
            raise UserError(
                f"{folder} belongs to another config: {key} is {before.get(key)!r} "
                f"there and {here.get(key)!r} here; choose another --workdir, or "
                "delete that one"
            )
    old, new = flatten(there), flatten(json.loads(json.dumps(values)))
    moved = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    return not any(_is_in(key, PLACES) for key in moved)


def write_config(workdir, values: Mapping[str, Any]) -> None:
    """Writes config.json."""
    text = json.dumps(values, indent=2, sort_keys=True)
    write_atomically(epath.Path(workdir) / "config.json", text.encode())


def resolved(run: TrainSettings) -> dict[str, Any]:
    """A run's settings with all defaults, flat; the same however they were given."""
    return flatten(json.loads(json.dumps(dataclasses.asdict(run))))


def _identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """What decides what a run learns, but for what its data holds."""
    full = resolved(from_config(values))
    kept = {k: v for k, v in full.items() if not _is_in(k, (*FREE, *PLACES))}
    parts = sorted(values["warm_start"])
    return {**kept, "warm_start": parts, "features": bool(full["data.features"])}


def model_facts(run_config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config.json says of the model and of how it is talked to; no paths."""
    named = ("model", "contrastive", "loss", "parts", "data")
    flat = flatten({name: run_config.get(name) for name in named})
    return {key: flat[key] for key in flat if not _is_in(key, (*FREE, *PLACES))}


def _is_in(key: str, names: Sequence[str]) -> bool:
    return f"{key}.".startswith(tuple(f"{name}." for name in names))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{a: {b: 1}} -> {"a.b": 1}."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
