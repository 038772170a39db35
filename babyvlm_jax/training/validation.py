"""The validations of a run: the loss on all held-out records, and what follows.

`plateau` decides; this file owns the data and the jitted functions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from babyvlm_jax import sharding
from babyvlm_jax.training import plateau
from babyvlm_jax.training.objectives.base import BaseObjective
from babyvlm_jax.training.optim import join_params, split_params
from babyvlm_jax.training.state import TrainState


class Validator:
    """Measures the loss on the validation set and keeps account of it in the state.

    Attributes:
        records: of the validation set, as `data.identity` names them.
    """

    def __init__(self, objective: BaseObjective, mesh: Mesh, state: TrainState):
        """
        Args:
            objective: its run's `validation.every` is not 0.
            mesh: set by the caller.
            state: of the run; only how it lies on the mesh is kept.

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
            after = plateau.after(run.validation, extra, loss, step, trainable)
            return {**extra, **after}  # what the loss carries along stays

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
        return plateau.is_over(self._run.validation, state.extra)

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
