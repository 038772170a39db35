"""Frozen descriptions of the models; each validates itself and holds its defaults.

Imports no jax, as `--help` of every command reads it.

A part that comes in several families (vision: `vit`, `resnext`; decoder: `llama`,
`gpt2`) is chosen by the key `family` of its section.
"""

import dataclasses
import math

from babyvlm_jax.runtime.fields import DTYPES, SHARE, FieldError, Settings, field

REMAT = ("none", "full", "dots", "attention")
ATTENTION = ("auto", "xla", "splash", "cudnn")
STEMS = ("patch", "conv")
RESIZES = ("antialias", "torch")
POSITIONS = ("learned", "sinusoidal")
ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
PIXELS = ("imagenet", "clip")
VOCAB_MULTIPLE = 128
PARTS = ("vision", "connector", "decoder")  # of a generative model
PAIR_PARTS = ("vision", "text", "head")  # of a contrastive one
LOSSES = ("infonce", "siglip")
POOLS = ("mean", "cls")


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

    @property
    def num_kv_heads(self) -> int:
        return self.num_heads


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


@dataclasses.dataclass(frozen=True)
class AugmentConfig(Settings):
    """Strengths of the augmentations.

    The defaults are Orhan's DINO settings for SAYCam (his code, eminorhan/dino).

    Attributes:
        *_size: sides of the crops in pixels.
        *_scale: share of the image's area that a crop covers.
        flip, jitter_prob, gray_prob: probabilities.
        brightness, contrast, saturation, hue: jitter is uniform in +- these.
        blur_probs, solarize_prob: for the first global, the second global and the
            local crops; solarisation on the second global crop only.
    """

    global_size: int = field(224, ge=1)
    local_size: int = field(96, ge=1)
    num_local: int = field(8, ge=0)
    global_scale: tuple[float, float] = field((0.2, 1.0), gt=0, le=1)
    local_scale: tuple[float, float] = field((0.05, 0.2), gt=0, le=1)
    flip: float = field(0.5, **SHARE)
    jitter_prob: float = field(0.8, **SHARE)
    brightness: float = field(0.4, ge=0, le=10)
    contrast: float = field(0.4, ge=0, le=10)
    saturation: float = field(0.2, ge=0, le=10)
    hue: float = field(0.1, ge=0, le=0.5)
    gray_prob: float = field(0.2, **SHARE)
    blur_probs: tuple[float, float, float] = field((1.0, 0.1, 0.5), **SHARE)
    solarize_prob: float = field(0.2, **SHARE)

    def check(self) -> None:
        for name in ("global_scale", "local_scale"):
            least, greatest = getattr(self, name)
            self.need(least <= greatest, name, "(least, greatest)")


@dataclasses.dataclass(frozen=True)
class DinoConfig(Settings):
    """Head, temperatures and moving averages."""

    head_hidden_dim: int = field(2048, ge=1)
    head_bottleneck_dim: int = field(256, ge=1)
    num_prototypes: int = field(65536, ge=1)
    student_temperature: float = field(0.1, gt=0, le=100)
    teacher_temperature: float = field(0.04, gt=0, le=100)
    center_momentum: float = field(0.9, ge=0, le=1)
    teacher_momentum: float = field(0.9995, ge=0, le=1)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)


@dataclasses.dataclass(frozen=True)
class WordsConfig(Settings):
    """Mean of word embeddings: CVCL's text tower, which knows no order.

    Attributes:
        vocab_size: tokens of the tokenizer; the table is padded to a multiple of 128.
        width: of an embedding.
        embed_std: of the initial table. 1 is torch's default for embeddings; as texts
            are brought to unit length, it says how far a step turns a word.
    """

    vocab_size: int = field(2350, ge=1)  # BabyVLM V1 (arXiv 2504.09426)
    width: int = field(512, ge=1)  # CVCL, as in BabyVLM V1
    embed_std: float = field(1.0, ge=0, le=100)
    family: str = field("words", one_of=("words",))

    @property
    def padded_vocab_size(self) -> int:
        return padded_vocab_size(self.vocab_size)


@dataclasses.dataclass(frozen=True)
class ContrastiveConfig(Settings):
    """Text tower, projections, temperature and loss; the defaults are CVCL's.

    Attributes:
        embed_dim: width of the space that pictures and texts share.
        text: text tower: `words` (mean of word embeddings, no projection), or a
            decoder of ours (`gpt2`, `llama`: causal, read at the last token, <eos>,
            and projected without bias; with `gpt2` it is CLIP's).
        pool: how an image tower's tokens become one: their `mean`, or the first, `cls`.
        image_bias: whether the projection of pictures has a bias (CLIP's has none).
        loss: `infonce` (symmetric, over the global batch) or `siglip` (each pair by
            itself).
        temperature: initial; similarities are cosines divided by it. It is learned
            when `optim.trains` names `head/log_scale`.
        least_temperature: it never falls below.
        bias: initial value that `siglip` adds to similarities, `head/bias`.
        chunk: rows of the batch's similarities that exist at once, over all devices.
        augmented: whether pictures are cropped and changed at random in training.
        augment: how; of a global crop, whose size is that of the picture.

    Source: CVCL (Vong et al., Science 2024); CLIP (arXiv 2103.00020); SigLIP (arXiv
    2303.15343).
    """

    embed_dim: int = field(512, ge=1)
    text: WordsConfig | GPT2Config | DecoderConfig = WordsConfig()
    pool: str = field("mean", one_of=POOLS)
    image_bias: bool = True
    loss: str = field("infonce", one_of=LOSSES)
    temperature: float = field(0.07, gt=0, le=100)
    least_temperature: float = field(0.01, gt=0, le=100)  # CLIP
    bias: float = -10.0  # SigLIP
    chunk: int = field(1024, ge=1)
    augmented: bool = False
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)

    def check(self) -> None:
        text = self.text
        if isinstance(text, WordsConfig) and text.width != self.embed_dim:
            raise FieldError(
                "text.width",
                f"is {text.width}, but embed_dim {self.embed_dim}; the mean of words "
                "is not projected: make them equal",
            )
        if not isinstance(text, WordsConfig) and not text.tied:
            raise FieldError(
                "text.tied",
                "is False; a text tower gives no logits, so it has no output map: set "
                "it to True",
            )
        self.need(
            self.least_temperature <= self.temperature,
            "temperature",
            f"at least least_temperature {self.least_temperature}",
        )
