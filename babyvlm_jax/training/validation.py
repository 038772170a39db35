"""The validations of a run: the loss on all held-out records, and what follows.

What follows is lowering the rate, stopping, and keeping the best parameters. All that
is known of validations is arrays of the training state, in what the loss carries along,
so a resumed run continues exactly.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from babyvlm_jax import sharding
from babyvlm_jax.training.config import ValidationConfig
from babyvlm_jax.training.optim import join_params, split_params
from babyvlm_jax.training.state import TrainState

Watch = dict[str, Any]  # part of `TrainState.extra`


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


class Validator:
    """Measures the loss on the validation set and keeps account of it in the state.

    Attributes:
        records: of the validation set, as `data.identity` names them.
    """

    def __init__(self, objective, mesh: Mesh, state: TrainState):
        """
        Args:
            objective: of `training.objectives`; its run's `validation.every` is not 0.
            mesh: set by the caller.
            state: of the run; only its sharding is kept.

        Raises:
            UserError: the split is missing, or holds nothing to learn.
        """
        run = objective.run
        self._run, self._mesh = run, mesh
        self._data = objective.validation_data()
        self.records = self._data.records
        loss, trains = objective.held_out, run.optim.trains

        def measure(params, extra, batch, number):
            key = jax.random.fold_in(jax.random.key(run.seed), number)
            total, (sums, _) = loss(params, extra, batch, key)
            return jnp.stack([total, sums["count"]])

        def account(extra, params, loss, step):
            trainable, _ = split_params(params, trains)
            found = after(run.validation, extra, loss, step, trainable)
            return {**extra, **found}  # what the loss carries along stays

        def best(params, extra):
            _, frozen = split_params(params, trains)
            return join_params(extra["best"], frozen)

        places = jax.tree.map(lambda leaf: leaf.sharding, (state.params, state.extra))
        everywhere = NamedSharding(mesh, PartitionSpec())  # every process reads it
        self._measure = jax.jit(measure, out_shardings=everywhere)
        self._account = jax.jit(account, out_shardings=places[1], donate_argnums=0)
        self._best = jax.jit(best, out_shardings=places[0])

    def is_due(self, done: int) -> bool:
        """Whether the set is to be seen after so many steps; always after the last."""
        return done % self._run.validation.every == 0 or done == self._run.num_steps

    def is_over(self, state: TrainState) -> bool:
        """Whether the run shall stop early."""
        return is_over(self._run.validation, state.extra)

    def __call__(
        self, state: TrainState, tick: Callable[[], Any] = lambda: None
    ) -> tuple[TrainState, float]:
        """Sees the whole set.

        Args:
            tick: called after each batch.

        Returns:
            The state with the account brought up to date, and the loss.
        """
        place = jax.process_index(), jax.process_count()
        found = []
        for number in range(self._data.num_batches):
            batch = self._data.batch_at(number, *place)
            placed = sharding.put_batch(self._mesh, batch)
            found.append(self._measure(state.params, state.extra, placed, number))
            tick()
        total, count = np.sum(jax.device_get(found), axis=0, dtype=np.float64)
        loss = float(total / count)
        step = np.int32(int(state.step))
        extra = self._account(state.extra, state.params, np.float32(loss), step)
        return state.replace(extra=extra), loss

    def with_best(self, state: TrainState) -> TrainState:
        """The state with the parameters of its best validation."""
        return state.replace(params=self._best(state.params, state.extra))

    def facts(self, state: TrainState) -> dict[str, Any]:
        """The best validation, for done.json."""
        extra = state.extra
        return {
            "best_step": int(np.asarray(extra["step"])),
            "best_loss": float(np.asarray(extra["loss"])),
            "stopped_early": self.is_over(state),
        }
