"""Frozen descriptions of the models; each validates itself and holds its defaults.

A part that comes in several families (vision: `vit`, `resnext`; decoder: `llama`,
`gpt2`) is chosen by the key `family` of its section.
"""

import dataclasses
import math
import typing

from babyvlm_jax.errors import UserError

REMAT = ("none", "full", "dots", "attention")
ATTENTION = ("auto", "xla", "splash", "cudnn")
RESIZES = ("antialias", "torch")
POSITIONS = ("learned", "sinusoidal")
ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
PIXELS = ("imagenet", "clip")
VOCAB_MULTIPLE = 128


def _need(ok: bool, message: str) -> None:
    if not ok:
        raise UserError(message)


def padded_vocab_size(vocab_size: int) -> int:
    """Rows of the tables: the next multiple of 128."""
    return math.ceil(vocab_size / VOCAB_MULTIPLE) * VOCAB_MULTIPLE


@dataclasses.dataclass(frozen=True)
class ViTConfig:
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

    image_size: int = 224
    patch_size: int = 16
    width: int = 1024
    num_layers: int = 24
    num_heads: int = 16
    mlp_dim: int = 4096
    stem: str = "patch"
    stem_channels: int = 48
    layer_scale: float = 0.0
    num_registers: int = 0
    position_resize: str = "antialias"
    activation: str = "gelu"
    pre_norm: bool = False
    patch_bias: bool = True
    pixels: str = "imagenet"
    norm_eps: float = 1e-6
    dtype: str = "bfloat16"
    remat: str = "full"
    unroll: int = 1
    family: str = "vit"

    def __post_init__(self):
        _need(
            self.position_resize in RESIZES,
            f"vision.position_resize {self.position_resize!r} is not one of {RESIZES}",
        )
        _need(self.stem in ("patch", "conv"), f"vision.stem {self.stem!r}: patch|conv")
        _need(
            self.activation in ACTIVATIONS,
            f"vision.activation {self.activation!r} is not one of {ACTIVATIONS}",
        )
        _need(self.pixels in PIXELS, f"vision.pixels {self.pixels!r}: one of {PIXELS}")
        _need(self.remat in REMAT, f"vision.remat {self.remat!r} is not one of {REMAT}")
        _need(
            self.image_size % self.patch_size == 0,
            f"vision.image_size {self.image_size} is not a multiple of "
            f"vision.patch_size {self.patch_size}",
        )
        _need(
            self.width % self.num_heads == 0,
            f"vision.width {self.width} is not a multiple of num_heads",
        )

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
class ResNeXtConfig:
    """ResNeXt trunk without classifier and without pooling.

    Attributes:
        image_size: pixels a side.
        stages: blocks of each stage; a stage after the first halves the side.
        stem_width: channels of the first convolution.
        groups, group_width: of the 3x3 convolutions in the first stage; the width
            of a group doubles with each stage.
        expansion: channels that a block gives over `stem_width`, in the first stage.
    """

    image_size: int = 224
    stages: tuple[int, ...] = (3, 4, 6, 3)
    stem_width: int = 64
    groups: int = 32
    group_width: int = 4
    expansion: int = 4
    norm_eps: float = 1e-5
    dtype: str = "bfloat16"
    remat: str = "full"
    family: str = "resnext"

    def __post_init__(self):
        object.__setattr__(self, "stages", tuple(self.stages))
        _need(self.remat in REMAT, f"vision.remat {self.remat!r} is not one of {REMAT}")
        _need(
            self.image_size % self.stride == 0,
            f"vision.image_size {self.image_size} is not a multiple of {self.stride}",
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
class ConnectorConfig:
    """Two linear maps with exact GELU between (mlp2x_gelu).

    Attributes:
        hidden_dim: width between the maps.
        tokens_per_image: 0 maps each visual token by itself (the official form);
            k > 0 maps all tokens of an image together to k decoder tokens (ours:
            short sequences for tiny models).
        num_ordinals: size of a learned table added to visual tokens by the ordinal of
            their image in the record; 0 for none (the official form).
    """

    hidden_dim: int = 2048
    tokens_per_image: int = 0
    num_ordinals: int = 0


def _check_decoder(cfg) -> None:
    """What the decoders' configs have in common."""
    _need(cfg.remat in REMAT, f"decoder.remat {cfg.remat!r}: one of {REMAT}")
    _need(
        cfg.attention in ATTENTION,
        f"decoder.attention {cfg.attention!r}: one of {ATTENTION}",
    )
    _need(
        cfg.logits_chunk >= 0,
        f"decoder.logits_chunk {cfg.logits_chunk}: tokens, or 0 to choose by size",
    )


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
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

    vocab_size: int = 6000
    width: int = 2048
    num_layers: int = 22
    num_heads: int = 32
    num_kv_heads: int = 4
    head_dim: int = 0
    mlp_dim: int = 5632
    max_len: int = 8192
    rope_theta: float = 10000.0
    rope_fraction: float = 1.0
    norm_eps: float = 1e-5
    qk_norm: bool = False
    tied: bool = False
    dtype: str = "bfloat16"
    remat: str = "full"
    unroll: int = 1
    attention: str = "auto"
    logits_chunk: int = 0
    family: str = "llama"

    def __post_init__(self):
        if not self.head_dim:
            object.__setattr__(self, "head_dim", self.width // self.num_heads)
        _check_decoder(self)
        _need(
            self.num_heads % self.num_kv_heads == 0,
            f"decoder.num_heads {self.num_heads} is not a multiple of num_kv_heads "
            f"{self.num_kv_heads}",
        )
        _need(
            self.rotary_dim % 2 == 0 and self.rotary_dim <= self.head_dim,
            f"decoder.rope_fraction {self.rope_fraction} of head_dim {self.head_dim} "
            "must be an even number of dims",
        )

    @property
    def padded_vocab_size(self) -> int:
        return padded_vocab_size(self.vocab_size)

    @property
    def rotary_dim(self) -> int:
        return int(self.head_dim * self.rope_fraction)


@dataclasses.dataclass(frozen=True)
class GPT2Config:
    """GPT-2-family decoder; the defaults are V1's (BabyLLaVA-GPT2).

    Attributes:
        vocab_size, tied, remat, unroll, attention, logits_chunk: as in
            `DecoderConfig`.
        positions: `learned` (a table of `max_len`) or `sinusoidal` (no parameters).
        activation: as in `ViTConfig`; with `quick_gelu` or `gelu` the layers are those
            of CLIP's text encoder.
    """

    vocab_size: int = 2350
    width: int = 256
    num_layers: int = 8
    num_heads: int = 32
    mlp_dim: int = 1024
    max_len: int = 1024
    positions: str = "learned"
    activation: str = "gelu_tanh"
    norm_eps: float = 1e-5
    tied: bool = True
    dtype: str = "bfloat16"
    remat: str = "full"
    unroll: int = 1
    attention: str = "auto"
    logits_chunk: int = 0
    family: str = "gpt2"

    def __post_init__(self):
        _check_decoder(self)
        _need(
            self.positions in POSITIONS,
            f"decoder.positions {self.positions!r} is not one of {POSITIONS}",
        )
        _need(
            self.activation in ACTIVATIONS,
            f"decoder.activation {self.activation!r} is not one of {ACTIVATIONS}",
        )
        _need(
            self.width % self.num_heads == 0,
            f"decoder.width {self.width} is not a multiple of num_heads "
            f"{self.num_heads}",
        )

    @property
    def padded_vocab_size(self) -> int:
        return padded_vocab_size(self.vocab_size)

    @property
    def head_dim(self) -> int:
        return self.width // self.num_heads


@dataclasses.dataclass(frozen=True)
class VLMConfig:
    """Vision encoder, connector and decoder together."""

    vision: ViTConfig | ResNeXtConfig = dataclasses.field(default_factory=ViTConfig)
    connector: ConnectorConfig = dataclasses.field(default_factory=ConnectorConfig)
    decoder: DecoderConfig | GPT2Config = dataclasses.field(
        default_factory=DecoderConfig
    )

    @property
    def tokens_per_image(self) -> int:
        """P: positions that one image takes in the decoder's sequence."""
        return self.connector.tokens_per_image or self.vision.num_tokens


def from_dict(cls, values):
    """Builds a (nested) config dataclass from a plain dict.

    Args:
        cls: the dataclass, or a union of families, of which the key `family` chooses
            one; without it the first.

    Raises:
        UserError: a key that the dataclass does not have, or one that it needs.
    """
    cls = _choose(cls, values)
    fields = {field.name: field.type for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    _need(
        not unknown, f"{cls.__name__} has no field {unknown}; it has {sorted(fields)}"
    )
    required = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(values))
    _need(not missing, f"{cls.__name__} needs {missing}; set them in the config")
    kwargs = {
        key: from_dict(fields[key], value)
        if dataclasses.is_dataclass(_members(fields[key])[0])
        else value
        for key, value in values.items()
    }
    return cls(**kwargs)


def _members(kind) -> tuple:
    """The types of a union; of another type, itself."""
    return typing.get_args(kind) or (kind,)


def _choose(kind, values):
    """The member of a union of families that `values` names."""
    known = {member.family: member for member in typing.get_args(kind)}
    if not known:
        return kind
    name = values.get("family", next(iter(known)))
    _need(name in known, f"family {name!r} is not one of {sorted(known)}")
    return known[name]
