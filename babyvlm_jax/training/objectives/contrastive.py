"""Images and their utterances find each other: the contrastive phase.

All similarities of a batch are a square of B x B numbers. It never exists whole: the
texts (and for the other direction the images) are gathered on every device, and some
rows at a time are computed, forwards and backwards, so memory grows with B and not with
its square. Every device has a share of each chunk's rows.

Axes: B pairs, E width of the shared space, C rows of a chunk.
"""

import functools
from collections.abc import Callable, Collection, Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, get_abstract_mesh

from babyvlm_jax.data.config import Batch
from babyvlm_jax.data.pairs import HeldOutPairs, Pairs
from babyvlm_jax.data.synthetic import synthetic_pairs
from babyvlm_jax.losses import masked_sum
from babyvlm_jax.models.augment import single_crop
from babyvlm_jax.models.config import (
    PAIR_PARTS,
    ContrastiveConfig,
    ResNeXtConfig,
    ViTConfig,
    WordsConfig,
)
from babyvlm_jax.models.contrastive import PairModel, make_pair_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.sharding import batch_ways, constrain
from babyvlm_jax.training import agreement
from babyvlm_jax.training.flops import (
    Forward,
    StepFlops,
    decoder_forward,
    train_flops,
    vision_forward,
)
from babyvlm_jax.training.objectives.base import BaseObjective
from babyvlm_jax.training.step import LossFn

NEVER = -1e9  # similarity to what only fills the batch


def infonce(x, y, valid, scale, chunk: int):
    """Symmetric InfoNCE: which text belongs to an image, which image to a text.

    Args:
        x, y: f32[B, E] images and texts of unit length; those of a row belong
            together.
        valid: bool[B], False for rows that only fill the batch: they do not count, and
            are no alternatives.
        scale: f32[], 1 / temperature.
        chunk: rows at a time.

    Returns:
        total f32[], count f32[].

    Source: CLIP (arXiv 2103.00020), figure 3; CVCL as in BabyVLM V1 (2504.09426).
    """

    def one_way(x, y):
        return by_rows(_log_sum_exp, scale * x, y, valid, chunk)

    both = 0.5 * (one_way(x, y) + one_way(y, x))
    return masked_sum(both - scale * jnp.sum(x * y, axis=-1), valid)


def siglip(x, y, valid, scale, bias, chunk: int):
    """Pairwise sigmoid loss: does this text belong to this image?

    Args:
        bias: f32[], added to all similarities; others as `infonce`.

    Returns:
        total f32[] over all B^2 pairs; count f32[] of rows, by which the source
        divides it.

    Source: SigLIP (arXiv 2303.15343), algorithm 1.
    """
    reduce = functools.partial(_sum_softplus, bias)
    others = by_rows(reduce, scale * x, y, valid, chunk)
    # softplus(-z) = softplus(z) - z: the sum over all pairs has the true ones too
    return masked_sum(others - scale * jnp.sum(x * y, axis=-1) - bias, valid)


def _log_sum_exp(similarities, valid):
    return jax.nn.logsumexp(jnp.where(valid, similarities, NEVER), axis=-1)


def _sum_softplus(bias, similarities, valid):
    return jnp.sum(jnp.where(valid, jax.nn.softplus(similarities + bias), 0.0), axis=-1)


def by_rows(
    reduce: Callable[[jax.Array, jax.Array], jax.Array], x, y, valid, chunk: int
) -> jax.Array:
    """Reduces each row of x y^T, `chunk` rows at a time.

    B = 6 rows, 2 at a time, are taken as (0, 3), (1, 4), (2, 5): where two devices hold
    rows 0-2 and 3-5, each has one row of every chunk and sends none.

    Args:
        reduce: similarities f32[C, B], valid bool[B] -> f32[C]; it is computed again in
            the backward pass.
        x, y: f32[B, E].
        valid: bool[B].

    Returns:
        f32[B].
    """
    num_rows, width = x.shape
    num_chunks = count_chunks(num_rows, chunk, batch_ways(get_abstract_mesh()))
    y, valid = constrain(y, None, None), constrain(valid, None)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def part(rows, y, valid):
        highest = jax.lax.Precision.HIGHEST  # a TPU would round cosines to bfloat16
        return reduce(jnp.dot(rows, y.T, precision=highest), valid)

    if num_chunks == 1:
        return part(x, y, valid)

    def body(_, rows):
        return None, part(constrain(rows, "batch", None), y, valid)

    chunks = x.reshape(-1, num_chunks, width).swapaxes(0, 1)
    _, found = jax.lax.scan(body, None, chunks)
    return found.swapaxes(0, 1).reshape(num_rows)


def count_chunks(num_rows: int, chunk: int, ways: int = 1) -> int:
    """The least number of equal chunks of at most `chunk` rows.

    12 rows, at most 5 at a time: 3 chunks of 4; on 3 devices 4 chunks, of a row each.

    Args:
        num_rows: a multiple of `ways`.
        chunk: rows; at least one on each device.
        ways: devices that have rows of their own.
    """
    share, most = num_rows // ways, max(1, chunk // ways)
    least = -(-share // most)
    return next(n for n in range(least, share + 1) if share % n == 0)


def make_pair_loss(model: PairModel, augmented: bool) -> LossFn:
    """The loss of a batch of pairs, as `config.contrastive.loss` names it.

    Args:
        augmented: whether images are changed at random, with the key.
    """
    cfg = model.config

    def loss(params, extra, batch, key):
        images = batch["images"]
        if augmented:
            images = single_crop(key, images, cfg.augment)
        x = model.embed_images(params, images)
        y = model.embed_texts(params, batch["tokens"], batch["text_mask"])
        scale, bias = model.scales(params)
        if cfg.loss == "siglip":
            total, count = siglip(x, y, batch["valid"], scale, bias, cfg.chunk)
        else:
            total, count = infonce(x, y, batch["valid"], scale, cfg.chunk)
        return total, ({"count": count}, extra)

    return loss


def pair_flops(
    vision: ViTConfig | ResNeXtConfig,
    cfg: ContrastiveConfig,
    num_pairs: int,
    num_tokens: int,
    trained: Collection[str],
    remat: Mapping[str, str],
) -> StepFlops:
    """Two towers side by side, their projections, and similarities both ways."""
    towers = {"vision": vision_forward(vision)}
    head = vision.width * cfg.embed_dim
    if not isinstance(cfg.text, WordsConfig):
        whole = decoder_forward(cfg.text, num_tokens)
        logits = 2 * num_tokens * cfg.text.width * cfg.text.vocab_size
        towers["text"] = Forward(whole.weights - logits, whole.attention)
        head += cfg.text.width * cfg.embed_dim
    each = [
        train_flops({part: cost.times(num_pairs)}, trained, remat)
        for part, cost in towers.items()
    ]
    ways = 1 if cfg.loss == "siglip" else 2
    square = 2 * ways * num_pairs**2 * cfg.embed_dim
    head = 2 * num_pairs * head * 3
    return StepFlops(
        sum(one.model for one in each) + head + 3 * square,
        sum(one.again for one in each) + square,
    )


def check_text_heads(cfg: ContrastiveConfig, mesh: Mesh) -> None:
    """`preflight.check_heads` for a text tower; words have none."""
    if isinstance(cfg.text, WordsConfig):
        return
    for field in ("num_heads", "num_kv_heads"):
        count = getattr(cfg.text, field)
        if count % mesh.shape["tensor"]:
            raise UserError(
                f"config.mesh.tensor {mesh.shape['tensor']} does not divide "
                f"config.contrastive.text.{field} {count}; set it to a divisor"
            )


class Objective(BaseObjective):
    """Each image finds its utterance and each utterance its image; see `base`."""

    KNOWN_PARTS = PAIR_PARTS
    IS_OF_PAIRS = True

    def __init__(self, run):
        super().__init__(run)
        self.model = make_pair_model(run.model.vision, run.contrastive)
        self.loss = make_pair_loss(self.model, run.contrastive.augmented)
        self.held_out = make_pair_loss(self.model, augmented=False)
        self.reader = run.contrastive.text, "contrastive.text"

    def data(self):
        """Pairs: an image and an utterance each."""
        return Pairs(self.run.data)

    def validation_data(self) -> HeldOutPairs:
        """Pairs that `config.validation` names."""
        validation = self.run.validation
        return HeldOutPairs(self.run.data, validation.split, validation.datasets)

    def synthetic(self, num_rows: int) -> Batch:
        """See `data.synthetic.synthetic_pairs`."""
        vocab_size = self.run.contrastive.text.vocab_size
        return synthetic_pairs(self.run.data, num_rows, vocab_size)

    @classmethod
    def check(cls, run) -> None:
        """Checks that the batch stays whole, and that data and towers agree."""
        if tuple(run.parts) != PAIR_PARTS:
            raise UserError(
                f"config.parts is {run.parts}; config.loss {run.loss!r} has "
                f"{PAIR_PARTS}"
            )
        if run.accumulate != 1:
            raise UserError(
                f"config.accumulate is {run.accumulate}: each pair of a contrastive "
                "batch is compared with all others, so it cannot be split; set it to "
                "1, and use more devices or config.model.vision.remat='full'"
            )
        if run.data.features:
            raise UserError(
                f"config.loss {run.loss!r} reads images; set config.data.features=''"
            )
        super().check(run)
        agreement.check_size(run.data.image_size, run.model.vision)
        text = run.contrastive.text
        if not isinstance(text, WordsConfig):
            agreement.check_length(run.data, run.data.seq_len, text, "contrastive.text")

    def check_mesh(self, mesh) -> None:
        """See `check_text_heads`."""
        check_text_heads(self.run.contrastive, mesh)

    def flops(self) -> StepFlops:
        """See `pair_flops`."""
        run, shape = self.run, (self.run.data.batch_size, self.run.data.seq_len)
        trained, remat = self.trained_parts(), self.remat()
        return pair_flops(run.model.vision, run.contrastive, *shape, trained, remat)

    def remat(self) -> Mapping[str, str]:
        """Both towers'."""
        text = self.run.contrastive.text
        policy = "none" if isinstance(text, WordsConfig) else text.remat
        return {"vision": self.run.model.vision.remat, "text": policy}
