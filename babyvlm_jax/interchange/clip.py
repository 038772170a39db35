"""CLIP folders of transformers: what their config.json says, in our words."""

from collections.abc import Mapping
from typing import Any

from babyvlm_jax.interchange.foreign import Section
from babyvlm_jax.models.config import ContrastiveConfig, GPT2Config, ViTConfig
from babyvlm_jax.runtime.errors import UserError

# transformers leaves out of config.json what is as in these classes' defaults
_COMMON = {
    "num_hidden_layers": 12,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
TEXT_DEFAULTS = _COMMON | {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
}
VISION_DEFAULTS = _COMMON | {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
}
_ACTIVATIONS = {
    "quick_gelu": "quick_gelu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


def clip_configs(
    path: Any, config: Mapping[str, Any], dtype: str
) -> tuple[ViTConfig, ContrastiveConfig]:
    """The architecture of a `CLIPModel`.

    Args:
        path: of its folder, for messages.
        config: content of its config.json.
        dtype: of the computation.

    Raises:
        UserError: a value is bad, or an option is not known here.
    """
    top = Section(f"{path}/config.json", config)
    eyes = _section(top, "vision", VISION_DEFAULTS)
    words = _section(top, "text", TEXT_DEFAULTS)
    vision = ViTConfig(
        **_sizes(eyes),
        image_size=eyes.whole("image_size"),
        patch_size=eyes.whole("patch_size"),
        activation=_activation(path, eyes),
        pre_norm=True,
        patch_bias=False,
        pixels="clip",
        position_resize="torch",
        dtype=dtype,
    )
    text = GPT2Config(
        **_sizes(words),
        vocab_size=words.whole("vocab_size"),
        max_len=words.whole("max_position_embeddings"),
        activation=_activation(path, words),
        dtype=dtype,
    )
    pair = ContrastiveConfig(
        embed_dim=top.whole("projection_dim", 512),
        text=text,
        pool="cls",
        image_bias=False,
    )
    return vision, pair


def _section(top: Section, name: str, defaults: Mapping[str, Any]) -> Section:
    """Values of a tower; the older key `NAME_config_dict` prevails in transformers."""
    given = top.section(f"{name}_config"), top.section(f"{name}_config_dict")
    values = dict(defaults)
    for section in given:
        values |= section.values
    return Section(top.file, values, f"{name}_config")


def _sizes(section: Section) -> dict[str, Any]:
    return {
        "width": section.whole("hidden_size"),
        "num_layers": section.whole("num_hidden_layers"),
        "num_heads": section.whole("num_attention_heads"),
        "mlp_dim": section.whole("intermediate_size"),
        "norm_eps": section.number("layer_norm_eps"),
    }


def _activation(path, section: Section) -> str:
    found = section.text("hidden_act")
    if found not in _ACTIVATIONS:
        raise UserError(
            f"{path}: {section.name}.hidden_act {found!r} is not known here; expected "
            f"one of {sorted(_ACTIVATIONS)}"
        )
    return _ACTIVATIONS[found]
