"""Our side: the joint phase's own step on packed rows."""

import itertools

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from babyvlm_jax import sharding, train
from babyvlm_jax.data import pipeline
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.training.objectives import make_objective
from tests.benchmarks.sides import (
    Pass,
    Task,
    clock,
    peak_of_process,
    run_settings,
    same_pass,
    same_rows,
    weights_file,
)


class Ours:
    """The step of `train`, asked for passes and losses."""

    def __init__(self, task: Task):
        self._task = task
        self._run = run_settings(task)
        self._mesh = sharding.make_mesh(self._run.mesh, jax.devices()[:1])
        self._rows = pipeline.make_rows(self._run.data)
        self._loader = pipeline.prefetched(self._rows, self._run.data, 0)
        with jax.set_mesh(self._mesh):
            objective = make_objective(self._run)
            self._state, self._step = train.make_state_and_step(objective, self._mesh)
        self._held, self._warm = None, False

    def write_weights(self) -> None:
        """Leaves the first weights for the peer."""
        flat = flatten_dict(self._state.params, sep="/")
        np.savez(
            weights_file(self._task), **{k: np.asarray(v) for k, v in flat.items()}
        )

    def _train(self, batch) -> float:
        with jax.set_mesh(self._mesh):
            placed = sharding.put_batch(self._mesh, batch)
            self._state, values = self._step(self._state, placed)
        return values["loss"]

    def time(self, input_: str) -> Pass:
        """Some steps; `held` batches lie ready, those of the `loader` are made."""
        if self._held is None:
            made = map(self._rows.batch_at, itertools.count())
            self._held = list(_enough(made, self._task.examples))
            jax.block_until_ready(self._train(self._held[0]))
        batches = iter(self._held)
        if input_ == "loader":
            made = (batch for _, batch in self._loader)
            batches = _enough(made, self._task.examples)
        sums = np.zeros(4, np.int64)
        begin = clock(self._task)
        for batch in batches:
            loss = self._train(batch)
            sums += (
                _examples(batch),
                batch["loss_mask"].sum(),
                batch["tokens"].size,
                (batch["segment_ids"] > 0).sum(),
            )
        jax.block_until_ready(loss)
        seconds = clock(self._task) - begin
        return Pass(seconds, *sums.tolist(), self._peak())

    def time_same(self, steps: int) -> Pass:
        """Steps on `sides.same_rows`."""
        rows = same_rows(self._run)
        if not self._warm:
            self._warm = bool(jax.block_until_ready(self._train(rows)) > 0)
        begin = clock(self._task)
        for _ in range(steps):
            jax.block_until_ready(self._train(rows))
        return same_pass(clock(self._task) - begin, rows, steps, self._peak())

    def _peak(self) -> int:
        stats = jax.devices()[0].memory_stats()
        return stats["peak_bytes_in_use"] if stats else peak_of_process()

    def records(self, steps: int) -> list[list[str]]:
        """Ids of the records in each of the first batches."""
        source = RecordSource(self._run.data.shards, "mix", "train")
        places = range(self._run.data.batch_size)
        return [
            [source[n].id for place in places for _, n in self._rows.row(step, place)]
            for step in range(steps)
        ]

    def losses(self, steps: int) -> list[float]:
        """Losses of the first steps; ask before anything is timed."""
        return [float(self._train(self._rows.batch_at(step))) for step in range(steps)]


def _examples(batch) -> int:
    return batch["segment_ids"].max(axis=1).sum()


def _enough(batches, examples: int):
    """Batches until they hold so many examples."""
    while examples > 0:
        batch = next(batches)
        examples -= _examples(batch)
        yield batch
