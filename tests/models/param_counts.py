"""Closed-form counts: the parameters that an architecture must have.

Derived from the published formulas and not from the code of the models, so that a
test can hold the one against the other. What is stored and never trained (the running
statistics of batch norm, padded rows of the vocabulary) is not counted.
"""

from babyvlm_jax.models.config import (
    ContrastiveConfig,
    DecoderConfig,
    GPT2Config,
    ResNeXtConfig,
    ViTConfig,
    VLMConfig,
    WordsConfig,
)


def param_counts(cfg: VLMConfig) -> dict[str, int]:
    """Parameters of each part: vision, connector, decoder."""
    return {
        "vision": vision_params(cfg.vision),
        "connector": connector_params(cfg),
        "decoder": decoder_params(cfg.decoder),
    }


def pair_params(
    vision: ViTConfig | ResNeXtConfig, cfg: ContrastiveConfig
) -> dict[str, int]:
    """Parameters of each part of a contrastive model: vision, text, head."""
    head = vision.width * cfg.embed_dim + cfg.image_bias * cfg.embed_dim
    head += 1 + (cfg.loss == "siglip")  # scale, bias
    if isinstance(cfg.text, WordsConfig):
        text = cfg.text.vocab_size * cfg.text.width
    else:
        text = decoder_params(cfg.text)
        head += cfg.text.width * cfg.embed_dim
    return {"vision": vision_params(vision), "text": text, "head": head}


def vision_params(cfg: ViTConfig | ResNeXtConfig) -> int:
    """Parameters of an encoder, without a classifier."""
    return resnext_params(cfg) if isinstance(cfg, ResNeXtConfig) else vit_params(cfg)


def decoder_params(cfg: DecoderConfig | GPT2Config) -> int:
    """Parameters of a decoder; a tied head counts once."""
    return gpt2_params(cfg) if isinstance(cfg, GPT2Config) else llama_params(cfg)


def linear_params(fan_in: int, fan_out: int) -> int:
    """A linear map with bias."""
    return (fan_in + 1) * fan_out


def vit_params(cfg: ViTConfig) -> int:
    """Stem, CLS, registers and positions; the layers; the norms around them."""
    d, pixels = cfg.width, 3 * cfg.patch_size**2
    stem = linear_params(pixels, d)
    if cfg.stem == "conv":
        channels = cfg.stem_channels
        stem = linear_params(pixels, channels) + linear_params(9 * channels, d)
    attention = 4 * linear_params(d, d)
    mlp = linear_params(d, cfg.mlp_dim) + linear_params(cfg.mlp_dim, d)
    scales = 2 * d if cfg.layer_scale else 0
    layer = attention + mlp + 2 * (2 * d) + scales
    tokens = 1 + cfg.num_registers + cfg.num_tokens
    norms = 2 * d * (1 + cfg.pre_norm)
    stem -= 0 if cfg.patch_bias else d
    return stem + tokens * d + cfg.num_layers * layer + norms


def resnext_params(cfg: ResNeXtConfig) -> int:
    """Convolutions without bias, each with the scale and bias of its norm."""

    def conv(window, fan_in, fan_out):
        return window**2 * fan_in * fan_out + 2 * fan_out

    total = conv(7, 3, cfg.stem_width)
    channels = cfg.stem_width
    for stage, num_blocks in enumerate(cfg.stages):
        group = cfg.group_width * 2**stage
        inner = cfg.groups * group
        outer = cfg.stem_width * cfg.expansion * 2**stage
        total += conv(1, channels, outer)  # the first block's shortcut
        for _ in range(num_blocks):
            total += conv(1, channels, inner) + conv(3, group, inner)
            total += conv(1, inner, outer)
            channels = outer
    return total


def connector_params(cfg: VLMConfig) -> int:
    """Two linear maps, and the table of ordinals if there is one."""
    link, width = cfg.connector, cfg.decoder.width
    together = cfg.vision.num_tokens if link.tokens_per_image else 1
    up = linear_params(cfg.vision.width * together, link.hidden_dim)
    down = linear_params(link.hidden_dim, width * max(1, link.tokens_per_image))
    return up + down + link.num_ordinals * width


def llama_params(cfg: DecoderConfig) -> int:
    """Table and head; q, k, v, o, three MLP maps and two norms a layer; last norm."""
    d = cfg.width
    queries, keys = cfg.num_heads * cfg.head_dim, cfg.num_kv_heads * cfg.head_dim
    qk_norm = 2 * cfg.head_dim if cfg.qk_norm else 0
    layer = 2 * d * (queries + keys) + 3 * d * cfg.mlp_dim + 2 * d + qk_norm
    tables = (1 if cfg.tied else 2) * cfg.vocab_size * d
    return tables + cfg.num_layers * layer + d


def gpt2_params(cfg: GPT2Config) -> int:
    """Table, learned positions and head; the layers; the last norm."""
    d = cfg.width
    mlp = linear_params(d, cfg.mlp_dim) + linear_params(cfg.mlp_dim, d)
    layer = 4 * linear_params(d, d) + mlp + 2 * (2 * d)
    positions = cfg.max_len * d if cfg.positions == "learned" else 0
    tables = (1 if cfg.tied else 2) * cfg.vocab_size * d
    return tables + positions + cfg.num_layers * layer + 2 * d
