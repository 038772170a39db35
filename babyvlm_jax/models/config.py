"""Frozen descriptions of the models; each validates itself and holds its defaults.

A part that comes in several families (vision: `vit`, `resnext`; decoder: `llama`,
`gpt2`) is chosen by the key `family` of its section.
"""

import dataclasses
import math

from babyvlm_jax.runtime.fields import DTYPES, Settings, field

REMAT = ("none", "full", "dots", "attention")
ATTENTION = ("auto", "xla", "splash", "cudnn")
STEMS = ("patch", "conv")
RESIZES = ("antialias", "torch")
POSITIONS = ("learned", "sinusoidal")
ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
PIXELS = ("imagenet", "clip")
VOCAB_MULTIPLE = 128


def padded_vocab_size(vocab_size: int) -> int:
    """Rows of the tables: the next multiple of 128."""
    return math.ceil(vocab_size / VOCAB_MULTIPLE) * VOCAB_MULTIPLE


@dataclasses.dataclass(frozen=True)
class ViTConfig(Settings):
    """Vision transformer.

    Attributes:
        image_size, patch_size: pixels a side.
        width, num_layers, num_heads, mlp_dim: the usual.
        stem: `patch` (one linear map a patch) or `conv` (two overlapping
            convolutions, strides patch/2 and 2; ours: learns faster when tiny).
        stem_channels: channels between the two convolutions.
        layer_scale: initial LayerScale, 0 for none (DINOv2 style: 1e-5).
        num_registers: tokens that attend and are not handed on (DINOv2: 4).
        position_resize: how positions are brought to another grid: `antialias` (timm,
            DINOv2 with registers) or `torch` (transformers' ViT and DINOv2).
        activation: of the MLPs: `gelu` (exact), `gelu_tanh` or `quick_gelu` (CLIP).
        pre_norm: a LayerNorm before the first layer (CLIP).
        patch_bias: whether the patches' linear map has one (CLIP's has none).
        pixels: whose mean and deviation pixels are normalised by: `imagenet`, `clip`.
        remat: what the backward pass keeps: `none` recomputes nothing, `dots` keeps
            products with weights and what attention gives, `attention` only the
            latter, `full` nothing.
        unroll: layers that one turn of the scan holds (ours: CPUs gain from it).
    """

    image_size: int = field(224, ge=1)
    patch_size: int = field(16, ge=1)
    width: int = field(1024, ge=1)
    num_layers: int = field(24, ge=1)
    num_heads: int = field(16, ge=1)
    mlp_dim: int = field(4096, ge=1)
    stem: str = field("patch", one_of=STEMS)
    stem_channels: int = field(48, ge=1)
    layer_scale: float = field(0.0, ge=0, le=100)
    num_registers: int = field(0, ge=0)
    position_resize: str = field("antialias", one_of=RESIZES)
    activation: str = field("gelu", one_of=ACTIVATIONS)
    pre_norm: bool = False
    patch_bias: bool = True
    pixels: str = field("imagenet", one_of=PIXELS)
    norm_eps: float = field(1e-6, gt=0, le=1)
    dtype: str = field("bfloat16", one_of=DTYPES)
    remat: str = field("full", one_of=REMAT)
    unroll: int = field(1, ge=1)
    family: str = field("vit", one_of=("vit",))

    def check(self) -> None:
        _check_multiple(self, "image_size", "patch_size")
        _check_multiple(self, "width", "num_heads")

    @property
    def is_clip(self) -> bool:
        """Whether it has a part that only CLIP's encoders have."""
        plain = self.activation == "gelu" and self.pixels == "imagenet"
        return self.pre_norm or not self.patch_bias or not plain

    @property
    def num_tokens(self) -> int:
        """CLS and patches of one image of `image_size`."""
        return 1 + (self.image_size // self.patch_size) ** 2


@dataclasses.dataclass(frozen=True)
class ResNeXtConfig(Settings):
    """ResNeXt trunk without classifier and without pooling.

    Attributes:
        image_size: pixels a side.
        stages: blocks of each stage; a stage after the first halves the side.
        stem_width: channels of the first convolution.
        groups, group_width: of the 3x3 convolutions in the first stage; the width
            of a group doubles with each stage.
        expansion: channels that a block gives over `stem_width`, in the first stage.
    """

    image_size: int = field(224, ge=1)
    stages: tuple[int, ...] = field((3, 4, 6, 3), ge=1, filled=True)
    stem_width: int = field(64, ge=1)
    groups: int = field(32, ge=1)
    group_width: int = field(4, ge=1)
    expansion: int = field(4, ge=1)
    norm_eps: float = field(1e-5, gt=0, le=1)
    dtype: str = field("bfloat16", one_of=DTYPES)
    remat: str = field("full", one_of=REMAT)
    family: str = field("resnext", one_of=("resnext",))

    def check(self) -> None:
        self.need(
            self.image_size % self.stride == 0,
            "image_size",
            f"a multiple of {self.stride}, the stride of {len(self.stages)} stages",
        )

    @property
    def stride(self) -> int:
        """Pixels a side that one token stands for."""
        return 2 * 2 ** len(self.stages)

    @property
    def width(self) -> int:
        """Channels of the last stage."""
        return self.stem_width * self.expansion * 2 ** (len(self.stages) - 1)

    @property
    def num_tokens(self) -> int:
        """Places of the last stage for one image of `image_size`."""
        return (self.image_size // self.stride) ** 2


@dataclasses.dataclass(frozen=True)
class ConnectorConfig(Settings):
    """Two linear maps with exact GELU between (mlp2x_gelu).

    Attributes:
        hidden_dim: width between the maps.
        tokens_per_image: 0 maps each visual token by itself (the official form);
            k > 0 maps all tokens of an image together to k decoder tokens (ours:
            short sequences for tiny models).
        num_ordinals: size of a learned table added to visual tokens by the ordinal of
            their image in the record; 0 for none (the official form).
    """

    hidden_dim: int = field(2048, ge=1)
    tokens_per_image: int = field(0, ge=0)
    num_ordinals: int = field(0, ge=0)


def _check_multiple(cfg: Settings, name: str, divisor: str) -> None:
    ways = getattr(cfg, divisor)
    cfg.need(getattr(cfg, name) % ways == 0, name, f"a multiple of {divisor} {ways}")


@dataclasses.dataclass(frozen=True)
class DecoderConfig(Settings):
    """Llama-family decoder.

    Attributes:
        vocab_size: tokens of the tokenizer; the tables are padded to a multiple of
            128 and the padding is never chosen and never counted.
        head_dim: width of a head; 0 means width / num_heads.
        rope_fraction: leading share of each head that is rotated.
        qk_norm: RMSNorm on queries and keys of each head.
        tied: the output map is the embedding table.
        remat, unroll: as in `ViTConfig`.
        attention: kernel of packed rows: `auto` (by platform and shape), `xla` (the
            reference), `splash` (TPU), `cudnn` (GPU).
        logits_chunk: tokens of a row whose logits exist at once in the loss; 0 takes
            all where they are few, else a part. Only chunks with supervised tokens
            are computed.
    """

    vocab_size: int = field(6000, ge=1)
    width: int = field(2048, ge=1)
    num_layers: int = field(22, ge=1)
    num_heads: int = field(32, ge=1)
    num_kv_heads: int = field(4, ge=1)
    head_dim: int = field(0, ge=0)
    mlp_dim: int = field(5632, ge=1)
    max_len: int = field(8192, ge=1)
    rope_theta: float = field(10000.0, ge=1, le=1e9)
    rope_fraction: float = field(1.0, ge=0, le=1)
    norm_eps: float = field(1e-5, gt=0, le=1)
    qk_norm: bool = False
    tied: bool = False
    dtype: str = field("bfloat16", one_of=DTYPES)
    remat: str = field("full", one_of=REMAT)
    unroll: int = field(1, ge=1)
    attention: str = field("auto", one_of=ATTENTION)
    logits_chunk: int = field(0, ge=0)
    family: str = field("llama", one_of=("llama",))

    def check(self) -> None:
        _check_multiple(self, "num_heads", "num_kv_heads")
        if not self.head_dim:
            _check_multiple(self, "width", "num_heads")
            object.__setattr__(self, "head_dim", self.width // self.num_heads)
        self.need(
            self.rotary_dim % 2 == 0,
            "rope_fraction",
            f"an even number of the {self.head_dim} dims of a head",
        )

    @property
    def padded_vocab_size(self) -> int:
        return padded_vocab_size(self.vocab_size)

    @property
    def rotary_dim(self) -> int:
        return int(self.head_dim * self.rope_fraction)


@dataclasses.dataclass(frozen=True)
class GPT2Config(Settings):
    """GPT-2-family decoder; the defaults are V1's (BabyLLaVA-GPT2).

    Attributes:
        vocab_size, tied, remat, unroll, attention, logits_chunk: as in
            `DecoderConfig`.
        positions: `learned` (a table of `max_len`) or `sinusoidal` (no parameters).
        activation: as in `ViTConfig`; with `quick_gelu` or `gelu` the layers are those
            of CLIP's text encoder.
    """

    vocab_size: int = field(2350, ge=1)
    width: int = field(256, ge=1)
    num_layers: int = field(8, ge=1)
    num_heads: int = field(32, ge=1)
    mlp_dim: int = field(1024, ge=1)
    max_len: int = field(1024, ge=1)
    positions: str = field("learned", one_of=POSITIONS)
    activation: str = field("gelu_tanh", one_of=ACTIVATIONS)
    norm_eps: float = field(1e-5, gt=0, le=1)
    tied: bool = True
    dtype: str = field("bfloat16", one_of=DTYPES)
    remat: str = field("full", one_of=REMAT)
    unroll: int = field(1, ge=1)
    attention: str = field("auto", one_of=ATTENTION)
    logits_chunk: int = field(0, ge=0)
    family: str = field("gpt2", one_of=("gpt2",))

    def check(self) -> None:
        _check_multiple(self, "width", "num_heads")

    @property
    def padded_vocab_size(self) -> int:
        return padded_vocab_size(self.vocab_size)

    @property
    def head_dim(self) -> int:
        return self.width // self.num_heads


@dataclasses.dataclass(frozen=True)
class VLMConfig(Settings):
    """Vision encoder, connector and decoder together."""

    vision: ViTConfig | ResNeXtConfig = ViTConfig()
    connector: ConnectorConfig = ConnectorConfig()
    decoder: DecoderConfig | GPT2Config = DecoderConfig()

    @property
    def tokens_per_image(self) -> int:
        """P: positions that one image takes in the decoder's sequence."""
        return self.connector.tokens_per_image or self.vision.num_tokens
