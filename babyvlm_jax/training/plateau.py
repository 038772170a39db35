"""What a run does about its validation loss: lower the rate, stop, keep the best.

All of it is arrays that lie in the training state, so a resumed run goes on exactly.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from babyvlm_jax.runtime.fields import Settings, field

Watch = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ValidationConfig(Settings):
    """When the validation set is seen, all of it, and what follows.

    Attributes:
        every: steps between two validations; 0 for none.
        split: of the run's datasets.
        datasets: others to see instead; empty for those of the run.
        factor, patience: the learning rate is multiplied by `factor` after more than
            `patience` validations in a row without improvement.
        threshold: what counts as improvement there: a loss below the best by this share
            of it.
        stop_patience: so many validations in a row that are not below the best end the
            run; 0 for never.

    Source: CVCL's rate (V1 spec §2.6), with the semantics of torch's
    `ReduceLROnPlateau`; early stopping as the BabyVLM fork sets it.
    """

    every: int = field(0, ge=0)
    split: str = field("val", filled=True)
    datasets: tuple[str, ...] = ()
    factor: float = field(0.1, gt=0, lt=1)
    patience: int = field(20, ge=0)
    threshold: float = field(1e-4, gt=0, lt=1)
    stop_patience: int = field(5, ge=0)


def _rate(cfg: ValidationConfig):
    # optax lowers the rate at the patience-th bad value, torch at the one after it
    return optax.contrib.reduce_on_plateau(
        factor=cfg.factor, patience=cfg.patience + 1, rtol=cfg.threshold
    )


def begin(cfg: ValidationConfig, trainable: Any) -> Watch:
    """What is known before the first validation.

    Args:
        trainable: the parameters that train.

    Returns:
        rate: state of the learning rate's reduction;
        loss, step: f32[], i32[] of the best validation;
        waited: i32[] validations since;
        best: a copy of the parameters then.
    """
    return {
        "rate": _rate(cfg).init(jnp.zeros(())),
        "loss": jnp.full((), jnp.inf, jnp.float32),
        "step": jnp.zeros((), jnp.int32),
        "waited": jnp.zeros((), jnp.int32),
        "best": jax.tree.map(jnp.copy, trainable),
    }


def after(cfg: ValidationConfig, watch: Watch, loss, step, trainable: Any) -> Watch:
    """What is known after a validation; a loss that is not finite is no improvement.

    Args:
        loss: f32[] of the whole validation set.
        step: i32[] steps done.
        trainable: the parameters that it was measured with.
    """
    _, rate = _rate(cfg).update({}, watch["rate"], value=loss)
    better = loss < watch["loss"]
    now = {"loss": loss, "step": step, "waited": 0, "best": trainable}
    before = {**watch, "waited": watch["waited"] + 1}
    kept = {
        name: jax.tree.map(
            lambda new, old: jnp.where(better, new, old).astype(old.dtype),
            now[name],
            before[name],
        )
        for name in now
    }
    return {"rate": rate, **kept}


def rate_scale(watch: Watch) -> jax.Array:
    """f32[] factor of the learning rate."""
    return watch["rate"].scale


def is_over(cfg: ValidationConfig, watch: Watch) -> bool:
    """Whether the run shall stop; reads the device."""
    return 0 < cfg.stop_patience <= int(np.asarray(watch["waited"]))
