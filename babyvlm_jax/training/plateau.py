"""What a run does about its validation loss: lower the rate, stop, keep the best.

All of it is arrays that lie in the training state, so a resumed run goes on exactly.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from babyvlm_jax.training.config import ValidationConfig

Watch = dict[str, Any]


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
