"""The torch side of `clip_cases`; `python -m tests.models.parity.clip_torch` stores it.

Nothing here is imported by the default tests.
"""

import zlib

import numpy as np
import torch
import transformers

from babyvlm_jax.models.vision import CLIP_MEAN, CLIP_STD
from tests.models.parity import clip_cases


def make(config: dict) -> transformers.CLIPModel:
    """`CLIPModel` with random weights, large enough for every path to matter."""
    sections = {k: config[k] for k in ("text_config", "vision_config")}
    made = transformers.CLIPConfig(**sections, projection_dim=config["projection_dim"])
    made._attn_implementation = "eager"
    model = transformers.CLIPModel(made).eval()
    state = {}
    for name, value in model.named_parameters():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        noise = rng.normal(size=tuple(value.shape)).astype(np.float32)
        if value.ndim == 1 and name.endswith("weight"):
            noise = 1 + 0.1 * noise
        elif value.ndim == 1:
            noise = 0.1 * noise
        elif value.ndim > 1:
            noise = noise / np.sqrt(np.prod(value.shape[1:]))
        state[name] = torch.tensor(np.float32(3.2) if not value.ndim else noise)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("position_ids" in name for name in missing)
    return model


def weights(model) -> dict[str, np.ndarray]:
    """Parameters by torch name."""
    return {k: v.detach().numpy() for k, v in model.named_parameters()}


def run(model, batch) -> dict[str, np.ndarray]:
    """Both embeddings, of unit length, and the logits."""
    pixels = (batch["images"] / 255.0 - np.array(CLIP_MEAN)) / np.array(CLIP_STD)
    with torch.inference_mode():
        out = model(
            input_ids=torch.tensor(batch["tokens"]).long(),
            attention_mask=torch.tensor(batch["text_mask"]).long(),
            pixel_values=torch.tensor(pixels.transpose(0, 3, 1, 2)).float(),
        )
    return {
        "x": out.image_embeds.numpy(),
        "y": out.text_embeds.numpy(),
        "logits": out.logits_per_image.numpy(),
    }


def main() -> None:
    model = make(clip_cases.TINY)
    batch = clip_cases.inputs(clip_cases.TINY)
    arrays = {f"weights/{k}": v for k, v in weights(model).items()}
    np.savez_compressed(clip_cases.FILE, **arrays, **batch, **run(model, batch))
    print(f"{clip_cases.FILE.name}: {clip_cases.FILE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
