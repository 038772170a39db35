"""The JSON files of a Hugging Face folder, as plain dicts; no transformers needed."""

from collections.abc import Mapping, Sequence
from typing import Any

from babyvlm_jax.data.schema import IMAGE_MARK
from babyvlm_jax.models.config import DecoderConfig, GPT2Config, ViTConfig, VLMConfig
from babyvlm_jax.runtime.errors import UserError

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # as models/vision
MODULE = "modeling_babyvlm"
_BILINEAR = 2  # Pillow's number

_CONTENT = (
    "{%- macro words(m) -%}{%- if m.content is string -%}{{ m.content }}{%- else -%}"
    "{%- for part in m.content -%}"
    "{{ '<image>' if part.type == 'image' else part.text }}"
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
)
# The original strips a turn that shows an image, and no other.
_STRIPPED = (
    "{%- macro said(m) -%}{%- set text = words(m) -%}"
    "{{ text | trim if '<image>' in text else text }}{%- endmacro -%}"
)
CHAT_TEMPLATES = {
    # one blank between turns, but none behind an <eos>
    "baby_v1": _CONTENT + _STRIPPED + "{{ bos_token }}{%- for m in messages -%}"
    "{%- if m.role == 'user' -%}"
    "{{ '' if loop.previtem and loop.previtem.role == 'assistant' else ' ' }}"
    "{{ 'USER: ' + said(m) }}"
    "{%- elif m.role == 'assistant' -%}"
    "{{ ' ASSISTANT: ' + said(m) + eos_token }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ ' ASSISTANT:' }}{%- endif -%}",
    "baby_plain": _CONTENT + "{{ bos_token }}{%- for m in messages -%}"
    "{%- if m.role == 'user' -%}{{ '<image>' * words(m).count('<image>') }}"
    "{%- elif m.role == 'assistant' -%}{{ words(m) + eos_token }}{%- endif -%}"
    "{%- endfor -%}",
}
# Ours -> what others call the form; theirs are strings, so always verbatim.
_FORMS = {
    "baby_v1": "baby_v1",
    "baby_v1_verbatim": "baby_v1",
    "baby_plain": "baby_plain",
    "baby_plain_verbatim": "baby_plain",
    "plain": "baby_plain",
}


def form_of(template: str) -> str:
    """The key of `CHAT_TEMPLATES` for one of our templates.

    Raises:
        UserError: a chat template cannot say it.
    """
    if template not in _FORMS:
        raise UserError(
            f"the checkpoint's template {template!r} has no chat template; expected "
            f"one of {sorted(_FORMS)}, or use --format=safetensors"
        )
    return _FORMS[template]


def is_stock(model: VLMConfig) -> bool:
    """Whether transformers' LLaVA is this architecture, with no code of ours."""
    vision, connector, decoder = model.vision, model.connector, model.decoder
    return (
        isinstance(vision, ViTConfig)
        and vision.stem == "patch"
        and not vision.num_registers
        # transformers' Dinov2 inside LLaVA gives what is before its final norm.
        and not vision.layer_scale
        and not vision.is_clip
        and not connector.tokens_per_image
        and not connector.num_ordinals
        and isinstance(decoder, DecoderConfig)
        and connector.hidden_dim == decoder.width
        and not decoder.qk_norm
        and decoder.rope_fraction == 1.0
    )


def check_known(model: VLMConfig) -> None:
    """Raises UserError unless other code can compute this architecture."""
    vision, decoder = model.vision, model.decoder
    if isinstance(vision, ViTConfig) and vision.is_clip:
        raise UserError(
            "a vision encoder of CLIP's kind has no place in LLaVA's formats here; use "
            "--format=safetensors"
        )
    if isinstance(decoder, GPT2Config) and decoder.activation != "gelu_tanh":
        raise UserError(
            f"decoder.activation {decoder.activation!r} is not GPT-2's; use "
            "--format=safetensors"
        )


def llava_config(model: VLMConfig, rows: int, image_id: int) -> dict[str, Any]:
    """config.json for `LlavaForConditionalGeneration`.

    Args:
        rows: of the vocabulary's tables.
        image_id: of `<image>`.
    """
    vision = model.vision
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": image_id,
        "image_seq_length": model.tokens_per_image,
        "multimodal_projector_bias": True,
        "projector_hidden_act": "gelu",
        "tie_word_embeddings": model.decoder.tied,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "vision_config": {
            "model_type": "vit",
            # The layer that LLaVA takes is the one after the final norm.
            "tie_last_hidden_states": True,
            "hidden_size": vision.width,
            "num_hidden_layers": vision.num_layers,
            "num_attention_heads": vision.num_heads,
            "intermediate_size": vision.mlp_dim,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "hidden_act": "gelu",
            "layer_norm_eps": vision.norm_eps,
        },
        "text_config": {"model_type": "llama", **llama_config(model.decoder, rows)},
    }


def llama_config(decoder: DecoderConfig, rows: int) -> dict[str, Any]:
    """Keys of transformers' LlamaConfig."""
    return {
        "vocab_size": rows,
        "hidden_size": decoder.width,
        "intermediate_size": decoder.mlp_dim,
        "num_hidden_layers": decoder.num_layers,
        "num_attention_heads": decoder.num_heads,
        "num_key_value_heads": decoder.num_kv_heads,
        "head_dim": decoder.head_dim,
        "max_position_embeddings": decoder.max_len,
        "rms_norm_eps": decoder.norm_eps,
        "rope_theta": decoder.rope_theta,
        "rope_parameters": {"rope_theta": decoder.rope_theta, "rope_type": "default"},
        "tie_word_embeddings": decoder.tied,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
    }


def gpt2_config(decoder: GPT2Config) -> dict[str, Any]:
    """Keys of transformers' GPT2Config, and how positions are made."""
    return {
        "vocab_size": decoder.vocab_size,
        "n_embd": decoder.width,
        "n_layer": decoder.num_layers,
        "n_head": decoder.num_heads,
        "n_inner": decoder.mlp_dim,
        "n_positions": decoder.max_len,
        "position_embedding": decoder.positions,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": decoder.norm_eps,
        "tie_word_embeddings": decoder.tied,
    }


def original_config(model: VLMConfig) -> dict[str, Any]:
    """config.json in the words of the original LLaVA code."""
    decoder, vision = model.decoder, model.vision
    llama = isinstance(decoder, DecoderConfig)
    words = llama_config(decoder, decoder.vocab_size) if llama else gpt2_config(decoder)
    heads = (
        {"num_attention_heads": vision.num_heads}
        if isinstance(vision, ViTConfig)
        else {}
    )
    return {
        "architectures": ["LlavaLlamaForCausalLM" if llama else "LlavaGPT2ForCausalLM"],
        "model_type": "llava_llama" if llama else "llava_gpt2",
        **words,
        "mm_projector_type": "mlp2x_gelu",
        "mm_hidden_size": vision.width,
        "image_aspect_ratio": "pad",
        "vision_config": heads,
    }


def remote_config(
    shapes: Mapping[str, tuple[int, ...]], image_id: int
) -> dict[str, Any]:
    """config.json for the code in `remote_code`."""
    name = f"{MODULE}.BabyVLMForConditionalGeneration"
    return {
        "architectures": ["BabyVLMForConditionalGeneration"],
        "model_type": "babyvlm",
        "auto_map": {
            "AutoConfig": f"{MODULE}.BabyVLMConfig",
            "AutoModelForImageTextToText": name,
            "AutoModelForCausalLM": name,
        },
        "image_token_id": image_id,
        "parameter_shapes": {path: list(shape) for path, shape in shapes.items()},
    }


def generation_config(tokenizer, suppressed: Sequence[int]) -> dict[str, Any]:
    """generation_config.json: greedy, and ids that are never chosen."""
    return {
        "bos_token_id": tokenizer.sos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
        "do_sample": False,
        **({"suppress_tokens": list(suppressed)} if suppressed else {}),
    }


def tokenizer_config(names: Mapping[str, str], max_len: int) -> dict[str, Any]:
    """tokenizer_config.json.

    Args:
        names: of the specials: bos, eos, pad, unk.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "LlavaProcessor",
        "model_max_length": max_len,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        **{f"{kind}_token": name for kind, name in names.items()},
    }


def processor_config(model: VLMConfig) -> dict[str, Any]:
    """processor_config.json: pad to a square of the mean colour, then resize.

    An image takes (side / patch)^2 + additional ids: where that is not how many the
    model gives, one "patch" is made the whole image.
    """
    vision = model.vision
    if isinstance(vision, ViTConfig) and not model.connector.tokens_per_image:
        patch, additional = vision.patch_size, 1
    else:
        patch, additional = vision.image_size, model.tokens_per_image - 1
    side = {"height": vision.image_size, "width": vision.image_size}
    return {
        "processor_class": "LlavaProcessor",
        "image_token": IMAGE_MARK,
        "patch_size": patch,
        "num_additional_image_tokens": additional,
        "vision_feature_select_strategy": "full",
        "image_processor": {
            "image_processor_type": "LlavaImageProcessor",
            "do_convert_rgb": True,
            "do_pad": True,
            "do_resize": True,
            "size": side,
            "crop_size": side,
            "resample": _BILINEAR,
            "do_center_crop": False,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": MEAN,
            "image_std": STD,
        },
    }
