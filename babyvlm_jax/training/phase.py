"""What a run trains and how, before anything lies on a device.

`train.py` fills it with weights; `compile_check.py` compiles it for devices that are
not there. Nothing here makes an array, so it works under any mesh.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from babyvlm_jax.models import dino
from babyvlm_jax.models.config import WordsConfig
from babyvlm_jax.models.contrastive import make_pair_loss, make_pair_model
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.training import optim, plateau
from babyvlm_jax.training.guard import skipping
from babyvlm_jax.training.settings import TrainSettings
from babyvlm_jax.training.step import LossFn, make_token_loss, make_train_step
from babyvlm_jax.training.step_flops import (
    StepFlops,
    dino_flops,
    pair_flops,
    row_forward,
    train_flops,
)


class Phase(NamedTuple):
    """The functions of one training phase.

    Attributes:
        init: key -> (params, extra), drawn.
        specs: logical axis names of the parameters.
        loss: see `step.LossFn`.
        tx: the optimizer.
        after_update: params -> params, or None.
        extra: params -> extra, for parameters that were not drawn.
        rate_scale: extra -> factor of the learning rate, or None.
        held_out: the loss of a validation, or None where the phase knows none.
    """

    init: Callable[[jax.Array], Any]
    specs: Any
    loss: LossFn
    tx: optax.GradientTransformation
    after_update: Callable[[Any], Any] | None = None
    extra: Callable[[Any], Any] = lambda params: {}
    rate_scale: Callable[[Any], jax.Array] | None = None
    held_out: LossFn | None = None

    def shapes(self) -> Any:
        """(params, extra) as ShapeDtypeStructs; nothing is allocated."""
        return jax.eval_shape(self.init, jax.random.key(0))


def make_phase(run: TrainSettings) -> Phase:
    """The phase that the settings describe; the mesh must be set."""
    if run.loss == "dino":
        vit = run.model.vision
        specs = dino.dino_specs(vit, run.dino)
        return Phase(
            lambda key: dino.dino_init(key, vit, run.dino),
            specs,
            dino.make_dino_loss(vit, run.dino),
            optim.make_tx(run.optim, run.num_steps, specs),
            dino.make_teacher_update(run.dino),
        )
    model = model_of(run)
    specs = model.param_specs(run.parts)
    tx = optim.make_tx(run.optim, run.num_steps, specs)
    if run.loss == "contrastive":
        return _contrastive(run, model, specs, tx)
    return Phase(
        lambda key: (model.init(key, run.parts), {}),
        specs,
        make_token_loss(model, run.data.datasets, run.optim.z_loss),
        tx,
    )


def model_of(run: TrainSettings):
    """The functions of a phase's model; not for DINO, which has none of its own."""
    if run.loss == "contrastive":
        return make_pair_model(run.model.vision, run.contrastive)
    return make_model(run.model)


def _contrastive(run, model, specs, tx) -> Phase:
    def extra(params):
        if not run.validation.every:
            return {}
        trainable, _ = optim.split_params(params, run.optim.trains)
        return plateau.begin(run.validation, trainable)

    def init(key):
        params = model.init(key, run.parts)
        return params, extra(params)

    return Phase(
        init,
        specs,
        make_pair_loss(model, run.contrastive.augmented),
        tx,
        extra=extra,
        rate_scale=plateau.rate_scale if run.validation.every else None,
        held_out=make_pair_loss(model, augmented=False),
    )


def make_step(run: TrainSettings, phase: Phase, key: jax.Array):
    """step(state, batch) -> (state, metrics); see `step` and `guard`."""
    trains = run.optim.trains
    step = make_train_step(
        phase.loss,
        phase.tx,
        trains,
        key,
        run.accumulate,
        phase.after_update,
        phase.rate_scale,
    )
    return skipping(step)


def trained_parts(run: TrainSettings) -> tuple[str, ...]:
    """Top-level parts of which something trains; the mesh must be set."""
    params, _ = make_phase(run).shapes()
    trainable, _ = optim.split_params(params, run.optim.trains)
    return tuple(sorted({path.partition("/")[0] for path in trainable}))


def remat_of(run: TrainSettings) -> dict[str, str]:
    """Part -> what its backward pass keeps; see `models.config`."""
    policies = {"vision": run.model.vision.remat, "decoder": run.model.decoder.remat}
    text = run.contrastive.text
    policies["text"] = "none" if isinstance(text, WordsConfig) else text.remat
    return {part: policy for part, policy in policies.items() if part in run.parts}


def step_flops(run: TrainSettings) -> StepFlops:
    """FLOPs of one step over all devices; the mesh must be set."""
    data = run.data
    if run.loss == "dino":
        return dino_flops(run.model.vision, run.dino, data.batch_size)
    if run.loss == "contrastive":
        shape = data.batch_size, data.seq_len
        trained, remat = trained_parts(run), remat_of(run)
        return pair_flops(run.model.vision, run.contrastive, *shape, trained, remat)
    forward = row_forward(run.model, run.parts, data.seq_len, data.max_images)
    if data.features:
        forward.pop("vision", None)
    forward = {part: cost.times(data.batch_size) for part, cost in forward.items()}
    return train_flops(forward, trained_parts(run), remat_of(run))
