"""Frozen descriptions of the models; each validates itself and holds its defaults."""

import dataclasses
import math

from babyvlm_jax.errors import UserError

REMAT = ("none", "full", "dots")
VOCAB_MULTIPLE = 128


def _need(ok: bool, message: str) -> None:
    if not ok:
        raise UserError(message)


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
        remat: what the backward pass computes again: none, dots, full.
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
    norm_eps: float = 1e-6
    dtype: str = "bfloat16"
    remat: str = "full"
    unroll: int = 1

    def __post_init__(self):
        _need(self.stem in ("patch", "conv"), f"vision.stem {self.stem!r}: patch|conv")
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
    def num_tokens(self) -> int:
        """CLS and patches of one image of `image_size`."""
        return 1 + (self.image_size // self.patch_size) ** 2


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

    def __post_init__(self):
        if not self.head_dim:
            object.__setattr__(self, "head_dim", self.width // self.num_heads)
        _need(self.remat in REMAT, f"decoder.remat {self.remat!r}: one of {REMAT}")
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
        return math.ceil(self.vocab_size / VOCAB_MULTIPLE) * VOCAB_MULTIPLE

    @property
    def rotary_dim(self) -> int:
        return int(self.head_dim * self.rope_fraction)


@dataclasses.dataclass(frozen=True)
class VLMConfig:
    """Vision encoder, connector and decoder together."""

    vision: ViTConfig = dataclasses.field(default_factory=ViTConfig)
    connector: ConnectorConfig = dataclasses.field(default_factory=ConnectorConfig)
    decoder: DecoderConfig = dataclasses.field(default_factory=DecoderConfig)

    @property
    def tokens_per_image(self) -> int:
        """P: positions that one image takes in the decoder's sequence."""
        return self.connector.tokens_per_image or self.vision.num_tokens


def from_dict(cls, values):
    """Builds a (nested) config dataclass from a plain dict.

    Raises:
        UserError: a key that the dataclass does not have, or one that it needs.
    """
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
        if dataclasses.is_dataclass(fields[key])
        else value
        for key, value in values.items()
    }
    return cls(**kwargs)
