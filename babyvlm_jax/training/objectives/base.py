"""What all objectives share, and so the protocol that one has to fulfil.

Nothing here makes an array, so it works under any mesh, also one of devices that are
not there (`compile_check`).
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from babyvlm_jax.data.config import Batch
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.models.config import PARTS
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import agreement, optim, plateau
from babyvlm_jax.training.guard import skipping
from babyvlm_jax.training.step import LossFn, make_train_step
from babyvlm_jax.training.step_flops import StepFlops

Params = dict[str, Any]


class BaseObjective:
    """One phase's loss, and everything about the phase that depends on it.

    Attributes:
        run: `settings.TrainSettings`.
        model: functions of the parameters; it has `init`, `param_specs` and `shapes`.
        loss: see `step.LossFn`.
        held_out: the loss of a validation, or None where there is none.
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
    held_out: LossFn | None = None
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
        if run.validation.every and not cls.IS_OF_PAIRS:
            raise UserError(
                "config.validation serves config.loss 'contrastive' only; set "
                "config.validation.every=0"
            )
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

    def made(self, params: Params) -> tuple[Params, Any]:
        """What a run begins with beside the parts that are drawn or taken.

        Returns:
            Parts that are made from `params`, and what the loss carries along.
        """
        del params
        return {}, {}

    @functools.cached_property
    def specs(self) -> Params:
        """Logical axis names of the parameters; those of made parts end alike."""
        return self.model.param_specs(self.parts)

    def shapes(self) -> tuple[Params, Any]:
        """(params, extra) as ShapeDtypeStructs; nothing is allocated."""

        def begin(key):
            params = self.model.init(key, self.parts)
            made, extra = self.made(params)
            return params | made, extra

        return jax.eval_shape(begin, jax.random.key(0))

    @functools.cached_property
    def tx(self) -> optax.GradientTransformation:
        """The optimizer."""
        return optim.make_tx(self.run.optim, self.run.num_steps, self.specs)

    def step(self, key: jax.Array):
        """step(state, batch) -> (state, metrics); see `step` and `guard`."""
        run = self.run
        step = make_train_step(
            self.loss,
            self.tx,
            run.optim.trains,
            key,
            run.accumulate,
            self.after_update,
            plateau.rate_scale if run.validation.every else None,
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
