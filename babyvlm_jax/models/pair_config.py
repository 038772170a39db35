"""Frozen description of a contrastive model: what stands beside its image tower.

The image tower is one of `config.ViTConfig` and `ResNeXtConfig`, from the section
`model.vision` of a run; the text tower is chosen by the key `family` of its section.
"""

import dataclasses

from babyvlm_jax.models.augment import AugmentConfig
from babyvlm_jax.models.config import DecoderConfig, GPT2Config, padded_vocab_size
from babyvlm_jax.runtime.fields import FieldError, Settings, field

PAIR_PARTS = ("vision", "text", "head")
LOSSES = ("infonce", "siglip")
POOLS = ("mean", "cls")


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

    Source: CVCL (V1 spec §2.6); CLIP (arXiv 2103.00020); SigLIP (arXiv 2303.15343).
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
