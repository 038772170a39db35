"""Frozen description of a contrastive model: what stands beside its image tower.

The image tower is one of `config.ViTConfig` and `ResNeXtConfig`, from the section
`model.vision` of a run; the text tower is chosen by the key `family` of its section.
"""

import dataclasses

from babyvlm_jax.errors import UserError
from babyvlm_jax.models.augment import AugmentConfig
from babyvlm_jax.models.config import DecoderConfig, GPT2Config, padded_vocab_size

PAIR_PARTS = ("vision", "text", "head")
LOSSES = ("infonce", "siglip")
POOLS = ("mean", "cls")


@dataclasses.dataclass(frozen=True)
class WordsConfig:
    """Mean of word embeddings: CVCL's text tower, which knows no order.

    Attributes:
        vocab_size: tokens of the tokenizer; the table is padded to a multiple of 128.
        width: of an embedding.
        embed_std: of the initial table. 1 is torch's default for embeddings; as texts
            are brought to unit length, it says how far a step turns a word.
    """

    vocab_size: int = 2350  # BabyVLM V1 spec §1.1
    width: int = 512  # CVCL, V1 spec §2.6
    embed_std: float = 1.0
    family: str = "words"

    @property
    def padded_vocab_size(self) -> int:
        return padded_vocab_size(self.vocab_size)


@dataclasses.dataclass(frozen=True)
class ContrastiveConfig:
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

    Source: CVCL (V1 spec §2.6); CLIP (arXiv 2103.00020); SigLIP (arXiv 2303.15343).
    """

    embed_dim: int = 512
    text: WordsConfig | GPT2Config | DecoderConfig = dataclasses.field(
        default_factory=WordsConfig
    )
    pool: str = "mean"
    image_bias: bool = True
    loss: str = "infonce"
    temperature: float = 0.07
    least_temperature: float = 0.01  # CLIP
    bias: float = -10.0  # SigLIP
    chunk: int = 1024
    augmented: bool = False
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)

    def __post_init__(self):
        for field, known in (("loss", LOSSES), ("pool", POOLS)):
            if getattr(self, field) not in known:
                raise UserError(
                    f"contrastive.{field} {getattr(self, field)!r}: one of {known}"
                )
        text = self.text
        if isinstance(text, WordsConfig) and text.width != self.embed_dim:
            raise UserError(
                f"contrastive.text.width is {text.width} and contrastive.embed_dim "
                f"{self.embed_dim}; the mean of words is not projected: make them equal"
            )
        if not isinstance(text, WordsConfig) and not text.tied:
            raise UserError(
                "contrastive.text.tied is False; a text tower gives no logits, so it "
                "has no output map: set it to True"
            )
        if not 0 < self.least_temperature <= self.temperature:
            raise UserError(
                f"contrastive.temperature {self.temperature}: expected at least "
                f"contrastive.least_temperature {self.least_temperature} > 0"
            )
        if self.chunk < 1:
            raise UserError(f"contrastive.chunk is {self.chunk}; it must be >= 1")
