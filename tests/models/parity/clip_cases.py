"""CLIP beside torch: configs, inputs and our side of the computation.

A tiny one, whose stored outputs lie in `goldens/clip.npz`, and the published widths
with two layers a tower.
"""

import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

from babyvlm_jax.interchange.clip import clip_configs

FILE = pathlib.Path(__file__).parent / "goldens" / "clip.npz"
EOS = 69  # the last id of the tiny vocabulary, as CLIP's

# config.json of transformers, what stands in its defaults left out
TINY = {
    "model_type": "clip",
    "architectures": ["CLIPModel"],
    "projection_dim": 20,
    "text_config": {
        "vocab_size": EOS + 1,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 12,
        "bos_token_id": EOS - 1,
        "eos_token_id": EOS,
    },
    "vision_config": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 16,
        "patch_size": 4,
    },
}


def published(name: str) -> dict:
    """B/32 and L/14 (quick-GELU), and a B/16 with plain GELU; two layers a tower."""
    text = {"num_hidden_layers": 2, "bos_token_id": 49406, "eos_token_id": 49407}
    eyes = {"num_hidden_layers": 2}
    if name == "b16-gelu":
        eyes |= {"patch_size": 16, "hidden_act": "gelu"}
        text |= {"hidden_act": "gelu"}
    if name == "l14":
        eyes |= {
            "patch_size": 14,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
        }
        text |= {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
        }
    width = 768 if name == "l14" else 512
    return {
        **TINY,
        "projection_dim": width,
        "text_config": text,
        "vision_config": eyes,
    }


def inputs(config: dict) -> dict[str, np.ndarray]:
    """Three pictures; three texts, <start> .. <end> and then more <end>s."""
    vision, pair = clip_configs("", config, "float32")
    rng = np.random.default_rng(5)
    side, size = vision.image_size, pair.text.vocab_size
    tokens = rng.integers(0, size - 2, (3, min(pair.text.max_len, 12)))
    lengths = np.array([12, 7, 4])
    place = np.arange(tokens.shape[1])
    tokens[:, 0] = size - 2
    tokens = np.where(place < lengths[:, None] - 1, tokens, size - 1)
    return {
        "images": rng.integers(0, 256, (3, side, side, 3)).astype(np.uint8),
        "tokens": tokens.astype(np.int32),
        "text_mask": place < lengths[:, None],
    }


def write_folder(folder: pathlib.Path, config: dict, weights, tokenizer: str) -> None:
    """A folder as `save_pretrained` writes it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer)
    save_file(dict(weights), folder / "model.safetensors", metadata={"format": "pt"})


def tokenizer_json(vocab_size: int) -> str:
    """A word-level tokenizer with CLIP's specials, as the last ids."""
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers

    words = {f"w{i}": i for i in range(vocab_size - 2)}
    specials = ("<|startoftext|>", "<|endoftext|>")
    words |= {name: vocab_size - 2 + i for i, name in enumerate(specials)}
    made = tokenizers.Tokenizer(models.WordLevel(words, unk_token=specials[1]))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(list(specials))
    return made.to_str()
