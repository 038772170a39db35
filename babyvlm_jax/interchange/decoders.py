"""Decoders that a config.json in transformers' words describes."""

from collections.abc import Mapping
from typing import Any

from babyvlm_jax.interchange.foreign import Section
from babyvlm_jax.models.config import DecoderConfig, GPT2Config
from babyvlm_jax.runtime.errors import UserError

# transformers leaves out of config.json what is as in LlamaConfig's defaults
LLAMA_DEFAULTS = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
}


def decoder_config(
    path: Any, config: Mapping[str, Any], dtype: str, name: str = ""
) -> DecoderConfig | GPT2Config:
    """The decoder of a config.json.

    Args:
        path: of its folder, for messages.
        config: the content, of a Llama or a GPT-2.
        dtype: of the computation.
        name: of the section that describes it.

    Raises:
        UserError: a key is missing or has a bad value, or an option is not known here.
    """
    section = Section(f"{path}/config.json", config, name)
    if "n_embd" in section:
        return _gpt2(section, dtype)
    if "hidden_size" not in section:
        raise UserError(
            f"{section.file} describes no Llama or GPT-2 decoder: it has no "
            "'hidden_size' and no 'n_embd'"
        )
    return _llama(path, section, dtype)


def _gpt2(config: Section, dtype) -> GPT2Config:
    width = config.whole("n_embd")
    return GPT2Config(
        vocab_size=config.whole("vocab_size"),
        width=width,
        num_layers=config.whole("n_layer"),
        num_heads=config.whole("n_head"),
        mlp_dim=config.whole("n_inner", 4 * width),
        max_len=config.whole("n_positions"),
        positions=config.text("position_embedding", "learned"),
        norm_eps=config.number("layer_norm_epsilon", 1e-5),
        tied=config.flag("tie_word_embeddings", True),
        dtype=dtype,
    )


def _llama(path, config: Section, dtype) -> DecoderConfig:
    rope = config.section("rope_parameters")
    rope = rope if rope.values else config.section("rope_scaling")
    kind = rope.get("rope_type", rope.get("type", "default"))
    wrong = {
        "hidden_act": config.get("hidden_act", "silu") != "silu",
        "attention_bias": config.flag("attention_bias", False),
        "mlp_bias": config.flag("mlp_bias", False),
        "rope_scaling": kind != "default",
    }
    names = [name for name, bad in wrong.items() if bad]
    if names:
        raise UserError(f"{path}: this decoder's {', '.join(names)} is not known here")
    heads = config.whole("num_attention_heads")
    return DecoderConfig(
        vocab_size=config.whole("vocab_size"),
        width=config.whole("hidden_size"),
        num_layers=config.whole("num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=config.whole("num_key_value_heads", 0, least=0) or heads,
        head_dim=config.whole("head_dim", 0, least=0),
        mlp_dim=config.whole("intermediate_size"),
        max_len=config.whole("max_position_embeddings"),
        rope_theta=rope.number("rope_theta", config.number("rope_theta", 10000.0, 1)),
        norm_eps=config.number("rms_norm_eps", 1e-6),
        tied=config.flag("tie_word_embeddings", False),
        dtype=dtype,
    )
