"""The torch side of the cases: modules of transformers and timm, and their gradients.

Nothing here is imported by the default tests.
"""

import zlib

import numpy as np
import torch
import transformers

from babyvlm_jax.models.config import ViTConfig
from babyvlm_jax.models.vision import IMAGENET_MEAN, IMAGENET_STD
from tests.models.parity.cases import Case, cotangent
from tests.models.parity.torch_resnext import ResNeXt


def _llama_config(cfg):
    return transformers.LlamaConfig(
        vocab_size=cfg.vocab_size,
        hidden_size=cfg.width,
        num_hidden_layers=cfg.num_layers,
        num_attention_heads=cfg.num_heads,
        num_key_value_heads=cfg.num_kv_heads,
        intermediate_size=cfg.mlp_dim,
        max_position_embeddings=cfg.max_len,
        rms_norm_eps=cfg.norm_eps,
        rope_theta=cfg.rope_theta,
        tie_word_embeddings=cfg.tied,
        attn_implementation="eager",
    )


def _llama(cfg):
    return transformers.LlamaForCausalLM(_llama_config(cfg))


def _gpt2(cfg):
    config = transformers.GPT2Config(
        vocab_size=cfg.vocab_size,
        n_embd=cfg.width,
        n_layer=cfg.num_layers,
        n_head=cfg.num_heads,
        n_inner=cfg.mlp_dim,
        n_positions=cfg.max_len,
        activation_function="gelu_new",
        layer_norm_epsilon=cfg.norm_eps,
        attn_implementation="eager",
    )
    return transformers.GPT2LMHeadModel(config)


def _vit_fields(cfg):
    return {
        "image_size": cfg.image_size,
        "patch_size": cfg.patch_size,
        "hidden_size": cfg.width,
        "num_hidden_layers": cfg.num_layers,
        "num_attention_heads": cfg.num_heads,
        "layer_norm_eps": cfg.norm_eps,
        "attn_implementation": "eager",
    }


def _vit_config(cfg):
    fields = {**_vit_fields(cfg), "intermediate_size": cfg.mlp_dim}
    return transformers.ViTConfig(**fields, tie_last_hidden_states=True)


def _vit(cfg):
    return transformers.ViTModel(_vit_config(cfg), add_pooling_layer=False)


def _dinov2(cfg):
    fields = {**_vit_fields(cfg), "mlp_ratio": cfg.mlp_dim // cfg.width}
    if not cfg.num_registers:
        return transformers.Dinov2Model(transformers.Dinov2Config(**fields))
    config = transformers.Dinov2WithRegistersConfig(
        **fields, num_register_tokens=cfg.num_registers
    )
    return transformers.Dinov2WithRegistersModel(config)


def _timm(cfg):
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=cfg.image_size,
        patch_size=cfg.patch_size,
        embed_dim=cfg.width,
        depth=cfg.num_layers,
        num_heads=cfg.num_heads,
        mlp_ratio=cfg.mlp_dim / cfg.width,
        init_values=cfg.layer_scale or None,
        dynamic_img_size=True,
        num_classes=0,
    )


def _torchvision(cfg):
    from torchvision.models import VisionTransformer

    return VisionTransformer(
        cfg.image_size,
        cfg.patch_size,
        cfg.num_layers,
        cfg.num_heads,
        cfg.width,
        cfg.mlp_dim,
    )


def _llava(cfg):
    config = transformers.LlavaConfig(
        vision_config=_vit_config(cfg.vision),
        text_config=_llama_config(cfg.decoder),
        image_token_id=cfg.decoder.vocab_size - 1,
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        attn_implementation="eager",
    )
    return transformers.LlavaForConditionalGeneration(config)


BUILD = {
    "llama": _llama,
    "gpt2": _gpt2,
    "gpt2_sinusoidal": _gpt2,
    "vit": _vit,
    "vit_grown": _vit,
    "dinov2": _dinov2,
    "registers_grown": _dinov2,
    "registers_shrunk": _dinov2,
    "resnext": ResNeXt,
    "timm": _timm,
    "timm_grown": _timm,
    "torchvision": _torchvision,
    "llava": _llava,
}


def random_weights(module, case: Case) -> dict[str, np.ndarray]:
    """Weights large enough for every path to matter, and what is constant."""
    constants = {k: v for table in case.tables for k, v in table.constants.items()}
    weights = {}
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if not value.is_floating_point() or "inv_freq" in name:
            continue
        noise = rng.normal(size=tuple(value.shape)).astype(np.float32)
        if name.endswith("running_var"):
            weights[name] = 0.5 + np.abs(noise)
        elif value.ndim == 1 and name.endswith(("weight", "gamma", "lambda1")):
            weights[name] = 1 + 0.1 * noise
        elif value.ndim == 1:
            weights[name] = 0.1 * noise
        elif "proj" in name or value.ndim == 4:
            weights[name] = noise / np.sqrt(np.prod(value.shape[1:]))
        else:
            weights[name] = noise / np.sqrt(value.shape[-1])
    return {**weights, **constants}


def _pixels(images):
    mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    pixels = (images / 255.0 - mean) / std
    return torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)


def _encode(module, case: Case):
    pixels = _pixels(case.batch["images"])
    if isinstance(module, transformers.ViTModel):
        return module(pixels, interpolate_pos_encoding=True).last_hidden_state
    if isinstance(module, transformers.PreTrainedModel):
        out = module(pixels).last_hidden_state
        drop = case.config.num_registers
        return torch.cat([out[:, :1], out[:, 1 + drop :]], dim=1)
    if isinstance(module, ResNeXt):
        return module(pixels)
    if isinstance(case.config, ViTConfig) and hasattr(module, "forward_features"):
        return module.forward_features(pixels)
    x = module._process_input(pixels)
    cls = module.class_token.expand(x.shape[0], -1, -1)
    return module.encoder(torch.cat([cls, x], dim=1))


def _loss(module, case: Case):
    if "tokens" not in case.batch:
        out = _encode(module, case)
        return (out * torch.tensor(cotangent(tuple(out.shape)))).sum(), out
    batch = {key: torch.tensor(value) for key, value in case.batch.items()}
    inputs = {
        "input_ids": batch["tokens"].long(),
        "attention_mask": (batch["segment_ids"] > 0).long(),
    }
    if batch["images"].shape[1]:
        # Every picture that a row names, in order: rows use their first slots.
        used = case.batch["visual_index"].max(axis=1) // case.config.tokens_per_image
        images = [
            row[: n + 1] for row, n in zip(case.batch["images"], used, strict=True)
        ]
        inputs["pixel_values"] = _pixels(np.concatenate(images))
    logits = module(**inputs).logits
    nll = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch["targets"].long().flatten(), reduction="none"
    )
    mask = batch["loss_mask"].flatten()
    return nll[mask].mean(), logits


def run(name: str, case: Case):
    """Builds the reference, gives it random weights, and runs it both ways.

    Returns:
        weights, (loss, outputs, gradients); weights and gradients by torch name.
        What has no gradient there gets zeros.
    """
    module = BUILD[name](case.config).eval()
    weights = random_weights(module, case)
    state = {key: torch.tensor(value) for key, value in weights.items()}
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("num_batches" in k or "lm_head" in k for k in missing), missing
    loss, out = _loss(module, case)
    loss.backward()
    found = {k: p.grad for k, p in module.named_parameters()}
    gradients = {
        key: np.zeros_like(value) if found.get(key) is None else found[key].numpy()
        for key, value in weights.items()
    }
    return weights, (float(loss.detach()), out.detach().numpy(), gradients)
