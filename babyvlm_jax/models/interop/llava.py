"""Whole models in the naming of transformers' LLaVA."""

from babyvlm_jax.models.config import (
    ConnectorConfig,
    DecoderConfig,
    GPT2Config,
    ResNeXtConfig,
    ViTConfig,
    VLMConfig,
)
from babyvlm_jax.models.interop.gpt2 import gpt2
from babyvlm_jax.models.interop.llama import llama
from babyvlm_jax.models.interop.resnext import resnext
from babyvlm_jax.models.interop.table import Table, linear, prefixed
from babyvlm_jax.models.interop.vit import vit
from babyvlm_jax.runtime.errors import UserError


def connector(cfg: ConnectorConfig, first: str, second: str) -> Table:
    """The two maps under their torch names, such as `mm_projector.0` and `.2`.

    Raises:
        UserError: the connector is not the official form.
    """
    if cfg.tokens_per_image or cfg.num_ordinals:
        raise UserError(
            f"connector.tokens_per_image {cfg.tokens_per_image} and num_ordinals "
            f"{cfg.num_ordinals} have no counterpart in LLaVA; both must be 0"
        )
    return Table((*linear(first, "up"), *linear(second, "down")))


def decoder(cfg: DecoderConfig | GPT2Config) -> Table:
    """The decoder in transformers' naming."""
    return gpt2(cfg) if isinstance(cfg, GPT2Config) else llama(cfg)


def vision(cfg: ViTConfig | ResNeXtConfig, library: str) -> Table:
    """The encoder in the naming of `library`; a ResNeXt has torchvision's only."""
    return resnext(cfg) if isinstance(cfg, ResNeXtConfig) else vit(cfg, library)


def llava(cfg: VLMConfig, library: str = "transformers") -> tuple[Table, ...]:
    """`LlavaForConditionalGeneration` (transformers 5) around a Llama and a ViT.

    Its vision config needs `tie_last_hidden_states=True`, `vision_feature_layer=-1`
    and `vision_feature_select_strategy="full"`: CLS and patches after the final norm.

    Args:
        library: naming of the tower, one of `vit.NAMES`.

    Returns:
        the tables of vision, connector and decoder.

    Raises:
        UserError: a part that LLaVA does not have.
    """
    if isinstance(cfg.decoder, GPT2Config) or isinstance(cfg.vision, ResNeXtConfig):
        raise UserError(
            "transformers' LLaVA is written here around a ViT and a Llama decoder; "
            f"got {cfg.vision.family} and {cfg.decoder.family}"
        )
    projector = "model.multi_modal_projector.linear_"
    link = connector(cfg.connector, f"{projector}1", f"{projector}2")
    return (
        prefixed(vit(cfg.vision, library), "model.vision_tower.", "vision/"),
        prefixed(link, ours="connector/"),
        prefixed(llama(cfg.decoder, "model.language_model"), ours="decoder/"),
    )
