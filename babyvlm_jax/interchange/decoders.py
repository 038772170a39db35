"""Decoders that a config.json in transformers' words describes."""

from collections.abc import Mapping
from typing import Any

from babyvlm_jax.errors import UserError
from babyvlm_jax.models.config import DecoderConfig, GPT2Config

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
    path: Any, config: Mapping[str, Any], dtype: str
) -> DecoderConfig | GPT2Config:
    """The decoder of a config.json.

    Args:
        path: of its folder, for messages.
        config: the content, of a Llama or a GPT-2.
        dtype: of the computation.

    Raises:
        UserError: a key is missing, or an option is not known here.
    """
    try:
        if "n_embd" in config:
            return _gpt2(config, dtype)
        return _llama(path, config, dtype)
    except KeyError as error:
        raise UserError(
            f"{path}/config.json describes no Llama or GPT-2 decoder: it has no {error}"
        ) from None


def _gpt2(config, dtype) -> GPT2Config:
    return GPT2Config(
        vocab_size=config["vocab_size"],
        width=config["n_embd"],
        num_layers=config["n_layer"],
        num_heads=config["n_head"],
        mlp_dim=config.get("n_inner") or 4 * config["n_embd"],
        max_len=config["n_positions"],
        positions=config.get("position_embedding", "learned"),
        norm_eps=config.get("layer_norm_epsilon", 1e-5),
        tied=config.get("tie_word_embeddings", True),
        dtype=dtype,
    )


def _llama(path, config, dtype) -> DecoderConfig:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    wrong = {
        "hidden_act": config.get("hidden_act", "silu") != "silu",
        "attention_bias": bool(config.get("attention_bias")),
        "mlp_bias": bool(config.get("mlp_bias")),
        "rope_scaling": kind != "default",
    }
    names = [name for name, bad in wrong.items() if bad]
    if names:
        raise UserError(f"{path}: this decoder's {', '.join(names)} is not known here")
    heads = config["num_attention_heads"]
    return DecoderConfig(
        vocab_size=config["vocab_size"],
        width=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=heads,
        num_kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or 0,
        mlp_dim=config["intermediate_size"],
        max_len=config["max_position_embeddings"],
        rope_theta=rope.get("rope_theta", config.get("rope_theta", 10000.0)),
        norm_eps=config.get("rms_norm_eps", 1e-6),
        tied=config.get("tie_word_embeddings", False),
        dtype=dtype,
    )
