"""What all objectives share, and so the protocol that one has to fulfil.

Nothing here makes an array, so it works under any mesh, also one of devices that are
not there (`compile_check`).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from babyvlm_jax.data.config import Batch, DataConfig, process_places
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.models.config import PARTS
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import agreement, optim, validation
from babyvlm_jax.training.flops import StepFlops
from babyvlm_jax.training.step import LossFn, make_train_step, skipping

Params = dict[str, Any]


class HeldOut:
    """The records of a split, once: the first epoch of each dataset by itself.

    Attributes:
        num_batches: the last of a dataset may be filled up.
        records: which ones, as `data.identity` names them.
    """

    def __init__(self, open_data: Callable[[DataConfig], Any], run):
        """
        Args:
            open_data: opens rows or frames of a data config.
            run: `settings.TrainSettings`; its `validation` names split and datasets.
        """
        cfg = dataclasses.replace(
            run.data, split=run.validation.split, lessons=(), fraction=1.0
        )
        self._size = cfg.batch_size
        self._datasets = [
            open_data(dataclasses.replace(cfg, mixture={name: 1.0}))
            for name in run.validation.datasets or run.data.datasets
        ]
        self.num_batches = sum(one.steps_per_epoch for one in self._datasets)
        self.records = ", ".join(one.facts["datasets"] for one in self._datasets)

    def batch_at(
        self, number: int, process_index: int = 0, process_count: int = 1
    ) -> Batch:
        """This process's slice of a batch, with `valid` bool[B], for frames.

        Packed rows need it not: what fills them up is not supervised.
        """
        for dataset in self._datasets:
            if number < dataset.steps_per_epoch:
                break
            number -= dataset.steps_per_epoch
        places = process_places(self._size, process_index, process_count)
        valid = number * self._size + np.array(places) < dataset.stats["records"]
        batch = dataset.batch_at(number, process_index, process_count)
        return batch | {"valid": valid}


class BaseObjective:
    """One phase's loss, and everything about the phase that depends on it.

    Attributes:
        run: `settings.TrainSettings`.
        model: functions of the parameters; it has `init`, `param_specs` and `shapes`.
        loss: see `step.LossFn`.
        held_out: the loss of a validation: as `loss`, nothing drawn for the batch but
            by the key, and only what counts in `batch["valid"]`, if it has that.
        parts: top-level parts that are drawn, or taken from earlier checkpoints.
        reader: the config of what reads words and its place in the run's, or None.
        after_update: params -> params, applied after each update, or None.

    Attributes of the class:
        KNOWN_PARTS: what `config.warm_start` may name.
        PROGRAMS: what `compile_check` can compile.
        IS_OF_PAIRS: whether its checkpoints hold a contrastive model.
    """

    KNOWN_PARTS = PARTS
    PROGRAMS: tuple[str, ...] = ("train",)
    IS_OF_PAIRS = False

    model: Any
    loss: LossFn
    held_out: LossFn
    reader: tuple[Any, str] | None = None
    after_update: Callable[[Params], Params] | None = None

    def __init__(self, run):
        self.run = run
        self.parts: tuple[str, ...] = run.parts

    def data(self) -> Any:
        """What the run is trained on, by step.

        Raises:
            UserError: a dataset, split or tokenizer is missing or damaged.
        """
        raise NotImplementedError

    def validation_data(self) -> Any:
        """All that a validation sees; see `HeldOut`.

        Raises:
            UserError: as `data`.
        """
        raise NotImplementedError

    def synthetic(self, num_rows: int) -> Batch:
        """A made-up batch of the real shapes."""
        raise NotImplementedError

    def flops(self) -> StepFlops:
        """FLOPs of one step over all devices; the mesh must be set."""
        raise NotImplementedError

    @classmethod
    def check(cls, run) -> None:
        """Checks the settings when they are made, before there is an objective.

        Raises:
            UserError: names two fields that disagree.
        """
        unknown = sorted(set(run.warm_start) - set(cls.KNOWN_PARTS))
        if unknown:
            raise UserError(
                f"config.warm_start names {unknown}; parts are {cls.KNOWN_PARTS}"
            )

    def check_mesh(self, mesh) -> None:
        """Checks what the mesh (which is set) must divide or be able to compute.

        Raises:
            UserError: names the field.
        """

    def check_words(self) -> None:
        """Checks that what reads words knows each id of the tokenizer.

        Raises:
            UserError: it does not, or the tokenizer cannot be read.
        """
        if self.reader and not self.run.data.synthetic:
            tokenizer = Tokenizer.load(self.run.data.tokenizer)
            agreement.check_vocabulary(tokenizer, *self.reader)

    def made(self, params: Params) -> tuple[Params, Params]:
        """What a run begins with beside the parts that are drawn or taken.

        Returns:
            Parts that are made from `params`; what the loss carries along, and in a
            run with validations the account of these (`validation`).
        """
        parts, carried = self.made_by_loss(params)
        if not self.run.validation.every:
            return parts, carried
        trainable, _ = optim.split_params(params | parts, self.run.optim.trains)
        return parts, carried | validation.begin(self.run.validation, trainable)

    def made_by_loss(self, params: Params) -> tuple[Params, Params]:
        """`made` without the account of validations."""
        del params
        return {}, {}

    @functools.cached_property
    def specs(self) -> Params:
        """Logical axis names of the parameters; those of made parts end alike."""
        return self.model.param_specs(self.parts)

    def shapes(self) -> tuple[Params, Any]:
        """(params, extra) as ShapeDtypeStructs; nothing is allocated."""

        def begin(params):
            made, extra = self.made(params)
            return params | made, extra

        return jax.eval_shape(begin, self.model.shapes(self.parts))

    @functools.cached_property
    def tx(self) -> optax.GradientTransformation:
        """The optimizer."""
        return optim.make_tx(self.run.optim, self.run.num_steps, self.specs)

    def step(self, key: jax.Array):
        """step(state, batch) -> (state, metrics); see `training.step`."""
        run = self.run
        step = make_train_step(
            self.loss,
            self.tx,
            run.optim.trains,
            key,
            run.accumulate,
            self.after_update,
            validation.rate_scale if run.validation.every else None,
        )
        return skipping(step)

    def trained_parts(self) -> tuple[str, ...]:
        """Top-level parts of which something trains; the mesh must be set."""
        trainable, _ = optim.split_params(self.shapes()[0], self.run.optim.trains)
        return tuple(sorted({path.partition("/")[0] for path in trainable}))

    def remat(self) -> Mapping[str, str]:
        """Part -> what its backward pass keeps; see `models.config`."""
        model = self.run.model
        policies = {"vision": model.vision.remat, "decoder": model.decoder.remat}
        return {part: policies[part] for part in policies if part in self.run.parts}
