"""Checks of a run before any device has work; each names a field and a remedy.

Nothing here computes: shapes come from `jax.eval_shape`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from etils import epath
from flax.traverse_util import flatten_dict
from jax.sharding import AbstractMesh, Mesh

from babyvlm_jax import sharding
from babyvlm_jax.data import features
from babyvlm_jax.data.identity import check_facts
from babyvlm_jax.models.config import PARTS, VLMConfig
from babyvlm_jax.models.contrastive import PairModel
from babyvlm_jax.models.fingerprint import fingerprint
from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint, settings
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.objectives.base import BaseObjective
from babyvlm_jax.training.objectives.contrastive import check_text_heads
from babyvlm_jax.training.optim import check_patterns


def refuse_benchmarks(run: settings.TrainSettings) -> None:
    """Names the command that measures a part of training by itself.

    Raises:
        UserError: the config names one.
    """
    for name in ("only", "synthetic"):
        if getattr(run.data, name):
            raise UserError(
                f"config.data.{name} trains nothing; it is a flag of `python -m "
                "tests.benchmarks.alone` in the source tree, which takes the same "
                "--config: run that, or leave it out"
            )


def check_processes(run: settings.TrainSettings, workdir) -> None:
    """Whether all processes of the run were started alike; alone, one is.

    Before anything that they do together: with another number of steps they would
    wait for each other without end, with another rate train what no config says.

    Raises:
        UserError: on every process; names the first difference.
    """
    if jax.process_count() == 1:
        return
    full = settings.resolved(run)
    kept = {key: full[key] for key in full if key not in settings.OWN}
    kept |= {"--workdir": str(workdir), **processes.versions()}
    processes.check_same("settings", kept)


def check_run(objective: BaseObjective, mesh: Mesh | AbstractMesh) -> None:
    """Whether this run fits this mesh, whose devices need not be here.

    Raises:
        UserError: the batch, heads or parameters do not divide over the mesh; the
            attention cannot do these rows here; a pattern matches no parameter, or two
            match the same.
    """
    run = objective.run
    sharding.check_batch(run.data.batch_size // run.accumulate, mesh)
    check_heads(run.model, run.parts, mesh)
    with sharding.within(mesh):
        objective.check_mesh(mesh)
        shapes, names = abstract_params(objective)
    check_layout(shapes, names, mesh)
    check_patterns("config.optim.trains", run.optim.trains, shapes)
    if run.optim.decays != OptimConfig.decays:
        check_patterns("config.optim.decays", run.optim.decays, shapes)


def check_checkpoint(workdir, mesh: Mesh | AbstractMesh) -> None:
    """Whether a trained model fits this mesh; only its config.json is read.

    Raises:
        UserError: there is no config.json, or heads or parameters do not divide.
    """
    config = settings.read_config(workdir)
    try:
        functions = checkpoint.model_in(config)
        if isinstance(functions, PairModel):
            check_heads(settings.model_of(config), ("vision",), mesh)
            check_text_heads(functions.config, mesh)
        else:
            check_heads(functions.config, PARTS, mesh)
        with sharding.within(mesh):
            shapes = functions.shapes()
            names = functions.param_specs()
        check_layout(flatten_dict(shapes, sep="/"), flatten_dict(names, sep="/"), mesh)
    except UserError as error:
        raise UserError(f"{workdir}: {error}") from None


def check_warm_start(objective: BaseObjective, tokenizer: str) -> None:
    """Whether the checkpoints that the run starts from fit; the mesh must be set.

    Args:
        tokenizer: fingerprint of the run's; empty if it reads no words.

    Raises:
        UserError: a source has no checkpoint, one of another architecture, or one that
            was trained with another tokenizer; or the run does not have the part.
    """
    run = objective.run
    if not run.warm_start:
        return
    shapes, _ = objective.shapes()
    for part, source in run.warm_start.items():
        if part not in shapes:
            raise UserError(
                f"config.warm_start names {part!r}, but config.parts is {run.parts}; "
                "add it there or leave it out here"
            )
        try:
            checkpoint.check_source(part, source, shapes[part])
            checkpoint.check_tokenizer(part, source, tokenizer)
        except UserError as error:
            raise UserError(f"config.warm_start.{part}: {error}") from None


def check_moved(workdir: epath.Path, source) -> None:
    """Whether a finished run was trained on these data, which were moved.

    Raises:
        UserError: it was trained on other data.
    """
    step = checkpoint.newest_step(workdir, items=("data",))
    saved = checkpoint.read_facts(workdir, step)
    check_facts(saved, source.facts, f"{workdir}, which is finished,")
    processes.say(f"already finished in {workdir}, on the same data")


def check_same_data(run: settings.TrainSettings, source) -> None:
    """Whether all processes read the same data, each from disks of its own.

    Raises:
        UserError: on every process; names the first difference.
    """
    encoded = source.features.facts if run.data.features else {}
    processes.check_same("data", {**source.facts, **encoded})


def check_features(objective: BaseObjective, source, params) -> None:
    """Checks that features are those that this run's encoder gives, now and later.

    Raises:
        UserError: the encoder trains, or the features were made otherwise.
    """
    run = objective.run
    if not run.data.features:
        return
    if "vision" in objective.trained_parts():
        raise UserError(
            f"config.optim.trains {run.optim.trains} trains the vision encoder, whose "
            "features would then change; set config.data.features=''"
        )
    here = {**run.feature_facts, "encoder": fingerprint(params["vision"])}
    features.check(run.data.features, source.features.facts, here)


def abstract_params(
    objective: BaseObjective,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Flat shapes, and flat logical names, of the parameters that the run has."""
    params, _ = objective.shapes()
    made = params.keys() - objective.specs.keys()  # a teacher is sharded as its student
    specs = objective.specs | dict.fromkeys(made, objective.specs)
    return flatten_dict(params, sep="/"), flatten_dict(specs, sep="/")


def abstract_shapes(objective: BaseObjective) -> dict[str, tuple[int, ...]]:
    """Path -> shape of every parameter that the run has; no device is asked."""
    mesh = sharding.make_abstract_mesh({"data": 1, "fsdp": 1, "tensor": 1}, 1, "cpu")
    with sharding.within(mesh):
        shapes, _ = abstract_params(objective)
    return {path: tuple(leaf.shape) for path, leaf in shapes.items()}


def check_heads(model: VLMConfig, parts: Sequence[str], mesh: Mesh) -> None:
    """Raises UserError unless every attention has whole heads on each device.

    Args:
        parts: those of the model that are used.
    """
    ways, counts = mesh.shape["tensor"], {}
    if "decoder" in parts:
        counts["decoder.num_heads"] = model.decoder.num_heads
        counts["decoder.num_kv_heads"] = model.decoder.num_kv_heads
    if "vision" in parts and model.vision.family == "vit":
        counts["vision.num_heads"] = model.vision.num_heads
    for field, count in counts.items():
        if count % ways:
            fits = math.gcd(*counts.values())
            raise UserError(
                f"config.mesh.tensor {ways} does not divide config.model.{field} "
                f"{count}; set it to a divisor of {fits} and config.mesh.fsdp to more"
            )


def check_layout(
    shapes: Mapping[str, Any], names: Mapping[str, tuple], mesh: Mesh
) -> None:
    """Raises UserError unless every parameter divides over its mesh axes.

    Args:
        shapes: path -> leaf with a shape.
        names: path -> logical names of its dimensions.
    """
    for path, leaf in shapes.items():
        for size, axes in zip(leaf.shape, sharding.spec(*names[path]), strict=True):
            axes = (axes,) if isinstance(axes, str) else axes or ()
            ways = math.prod(mesh.shape[axis] for axis in axes)
            if size % ways:
                raise UserError(
                    f"config.mesh: {path} has a dimension of {size}, which is not "
                    f"divisible by {' x '.join(axes)} = {ways}; make "
                    f"config.mesh.{axes[0]} smaller and config.mesh.data larger"
                )
