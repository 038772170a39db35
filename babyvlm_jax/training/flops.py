"""Closed-form FLOPs: what a step must compute, whoever computes it.

Matrix products and attention only, two FLOPs a multiply-add; every slot of a row
counts, full or not. What remat computes again is counted separately: the device does
it, but the model does not need it, so MFU leaves it out.

Axes: T tokens, P visual tokens, D width, F mlp, V vocabulary.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from babyvlm_jax.models.config import (
    DecoderConfig,
    GPT2Config,
    ResNeXtConfig,
    ViTConfig,
    VLMConfig,
)


class Forward(NamedTuple):
    """FLOPs of a forward pass: products with weights, and between activations."""

    weights: float
    attention: float = 0.0

    def times(self, count: float) -> "Forward":
        """The same for `count` of them."""
        return Forward(count * self.weights, count * self.attention)

    @property
    def total(self) -> float:
        return self.weights + self.attention


def decoder_forward(cfg: DecoderConfig | GPT2Config, seq_len: int) -> Forward:
    """One row of T tokens and its logits; a query sees the keys up to its own."""
    d, length = cfg.width, seq_len
    queries, keys = cfg.num_heads * cfg.head_dim, cfg.num_kv_heads * cfg.head_dim
    maps = 2 if isinstance(cfg, GPT2Config) else 3  # of the MLP
    layer = 2 * d * (queries + keys) + maps * d * cfg.mlp_dim
    pairs = length * (length + 1) / 2
    return Forward(
        2 * length * (cfg.num_layers * layer + d * cfg.vocab_size),
        4 * cfg.num_layers * pairs * queries,
    )


def connector_forward(cfg: VLMConfig) -> Forward:
    """One image's tokens."""
    link, width = cfg.connector, cfg.decoder.width
    given, made = cfg.vision.num_tokens, cfg.tokens_per_image
    up = given * cfg.vision.width * link.hidden_dim  # together or each by itself
    times = 1 if link.tokens_per_image else given
    return Forward(2 * (up + times * link.hidden_dim * width * (made // times)))


def vision_forward(cfg: ViTConfig | ResNeXtConfig, side: int | None = None) -> Forward:
    """One image of `side` pixels; by default of the config's."""
    side = side or cfg.image_size
    if isinstance(cfg, ResNeXtConfig):
        return _resnext_forward(cfg, side)
    d, grid = cfg.width, side // cfg.patch_size
    stem = grid**2 * 3 * cfg.patch_size**2 * d
    if cfg.stem == "conv":
        first = (2 * grid) ** 2 * 3 * cfg.patch_size**2 * cfg.stem_channels
        stem = first + grid**2 * 9 * cfg.stem_channels * d
    tokens = 1 + cfg.num_registers + grid**2
    layer = tokens * (4 * d * d + 2 * d * cfg.mlp_dim)
    return Forward(
        2 * (stem + cfg.num_layers * layer), 4 * cfg.num_layers * tokens**2 * d
    )


def _resnext_forward(cfg: ResNeXtConfig, side: int) -> Forward:
    places = (side // 2) ** 2
    total = places * 49 * 3 * cfg.stem_width
    places //= 4
    channels = cfg.stem_width
    for stage, num_blocks in enumerate(cfg.stages):
        group = cfg.group_width * 2**stage
        inner, outer = cfg.groups * group, cfg.stem_width * cfg.expansion * 2**stage
        for index in range(num_blocks):
            total += places * channels * inner
            if stage and not index:
                places //= 4  # the stride is that of the 3x3 convolution
            total += places * (9 * group * inner + inner * outer)
            if not index:
                total += places * channels * outer
            channels = outer
    return Forward(2 * total)


def row_forward(
    cfg: VLMConfig, parts: Collection[str], seq_len: int, max_images: int
) -> dict[str, Forward]:
    """One row, part by part, in the order in which they see it."""
    costs = {
        "vision": vision_forward(cfg.vision).times(max_images),
        "connector": connector_forward(cfg).times(max_images),
        "decoder": decoder_forward(cfg.decoder, seq_len),
    }
    return {part: cost for part, cost in costs.items() if part in parts}


class StepFlops(NamedTuple):
    """FLOPs of a step: what the model needs, and what remat adds to it."""

    model: float
    again: float


def train_flops(
    forward: Mapping[str, Forward],
    trained: Collection[str],
    remat: Mapping[str, str],
) -> StepFlops:
    """Forward and backward passes over parts that see a row one after the other.

    A part that trains needs the gradient of its weights. It, and a frozen part behind
    one that trains, also pass gradients on to their inputs. A frozen part with nothing
    that trains before it is only run forward.

    Args:
        forward: part -> cost, in order.
        trained: names of the parts of which something trains.
        remat: part -> what its backward pass keeps; see `models.config`. `full`
            computes all again, `attention` all but attention, others next to nothing.
    """
    model, again, passes_on = 0.0, 0.0, False
    for part, cost in forward.items():
        passes_on = passes_on or part in trained
        model += cost.weights * (1 + passes_on + (part in trained))
        model += cost.attention * (1 + 2 * passes_on)
        if passes_on:
            kept = {"full": 0.0, "attention": cost.attention}
            again += cost.total - kept.get(remat.get(part, "none"), cost.total)
    return StepFlops(model, again)


def decode_flops(
    cfg: DecoderConfig | GPT2Config, prompt_len: int, num_tokens: int
) -> Forward:
    """So many tokens of one row, each made from the one before and a cache."""
    one = decoder_forward(cfg, 1).times(num_tokens)
    seen = sum(range(prompt_len + 1, prompt_len + num_tokens + 1))
    return Forward(one.weights, one.attention / num_tokens * seen)
