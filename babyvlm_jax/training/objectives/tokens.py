"""Next token on packed rows: the language, connector, joint and instruct phases."""

import jax

from babyvlm_jax.data import pipeline
from babyvlm_jax.data.config import Batch
from babyvlm_jax.data.synthetic import synthetic_rows
from babyvlm_jax.losses import masked_sum
from babyvlm_jax.models.attention_kernels import choose_kernel
from babyvlm_jax.models.vlm import Model, make_model
from babyvlm_jax.training import agreement
from babyvlm_jax.training.flops import StepFlops, row_forward, train_flops
from babyvlm_jax.training.objectives.base import BaseObjective, HeldOut
from babyvlm_jax.training.step import LossFn


def by_source(nll, loss_mask, sources, names):
    """`masked_sum` of each dataset's tokens.

    Args:
        nll: f32[...] of each token.
        loss_mask: bool[...], True where a target counts.
        sources: i32[...] number of the dataset that a target comes from.
        names: the datasets, in the order of their numbers.

    Returns:
        name -> (total f32[], count f32[]).
    """
    return {
        name: masked_sum(nll, loss_mask & (sources == number))
        for number, name in enumerate(names)
    }


def make_token_loss(
    model: Model, sources: tuple[str, ...] = (), z_loss: float = 0.0
) -> LossFn:
    """Sum of the supervised tokens' negative log-likelihood over a row batch.

    Args:
        sources: names of the datasets whose sums are kept apart too.
        z_loss: weight of the squared log normaliser, which keeps logits from drifting.

    Source: z-loss as in PaLM (arXiv 2204.02311), section 5.
    """

    def loss(params, extra, batch, key):
        del key
        nll, log_z = model.token_losses(params, batch)
        mask = batch["loss_mask"]
        total, count = masked_sum(nll, mask)
        sums = {"count": count}
        if z_loss:
            sums["z"] = z_loss * masked_sum(log_z**2, mask)[0]
            total += sums["z"]
        if sources:
            known = jax.lax.stop_gradient(nll)
            parts = by_source(known, mask, batch["sources"], sources)
            for name, (part, tokens) in parts.items():
                sums |= {f"nll/{name}": part, f"count/{name}": tokens}
        return total, (sums, extra)

    return loss


class Objective(BaseObjective):
    """The decoder predicts each supervised token; see `base`."""

    PROGRAMS = ("train", "eval", "decode")

    def __init__(self, run):
        super().__init__(run)
        self.model = make_model(run.model)
        self.loss = make_token_loss(self.model, run.data.datasets, run.optim.z_loss)
        self.held_out = make_token_loss(self.model)
        self.reader = run.model.decoder, "model.decoder"

    def data(self):
        """Rows; see `data.pipeline.make_rows`."""
        return pipeline.make_rows(self.run.data)

    def validation_data(self) -> HeldOut:
        """Rows of the records that `config.validation` names."""
        return HeldOut(pipeline.make_rows, self.run)

    def synthetic(self, num_rows: int) -> Batch:
        """See `data.synthetic.synthetic_rows`."""
        vocab_size = self.run.model.decoder.vocab_size
        return synthetic_rows(self.run.data, num_rows, vocab_size)

    @classmethod
    def check(cls, run) -> None:
        """Checks that rows and model agree; see `agreement.check_rows`."""
        super().check(run)
        agreement.check_rows(run)

    def check_mesh(self, mesh) -> None:
        """Checks that the chosen attention can compute these rows here."""
        decoder = self.run.model.decoder
        shape = self.run.data.seq_len, decoder.head_dim, decoder.dtype
        choose_kernel(decoder.attention, *shape)

    def flops(self) -> StepFlops:
        """The parts of the model that see a row, one after the other."""
        run, data = self.run, self.run.data
        forward = row_forward(run.model, run.parts, data.seq_len, data.max_images)
        if data.features:
            forward.pop("vision", None)
        forward = {part: cost.times(data.batch_size) for part, cost in forward.items()}
        return train_flops(forward, self.trained_parts(), self.remat())
