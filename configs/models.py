"""The sizes of the model that configs name; what is not said is the published value.

nursery   1 M parameters, learns on a laptop; ours
small     30 M parameters for one consumer GPU; ours
v2        BabyVLM-V2: ViT-L/16, connector 1024-2048-2048, 22-layer decoder of 2048
v2-gpt2   the same eyes before a GPT-2 decoder of 8 layers and 512
v1        BabyVLM V1: ResNeXt-50 32x4d, connector 2048-256-256, GPT-2 of 256
v1-llama  BabyVLM V1, large: ViT-L/16 before TinyLlama
v1-nursery  a GPT-2 of 0.9 M parameters behind the eyes of `nursery`; ours

`VISION` names encoders by themselves, to be put in a model's `vision` section; `CLIP`
holds the two sections of a contrastive phase, `vision` and `contrastive`.
"""

NURSERY = {
    "vision": {
        "image_size": 32,
        "patch_size": 8,
        "width": 64,
        "num_layers": 2,
        "num_heads": 4,
        "mlp_dim": 256,
        "stem": "conv",  # learns faster than one linear map a patch
        "dtype": "float32",  # CPUs have no fast bfloat16
        "remat": "none",
        "unroll": 2,
    },
    "connector": {
        "hidden_dim": 256,
        "tokens_per_image": 1,  # short rows, many small steps
        "num_ordinals": 32,
    },
    "decoder": {
        "vocab_size": 1024,
        "width": 128,
        "num_layers": 3,
        "num_heads": 4,
        "num_kv_heads": 4,
        "mlp_dim": 256,
        "max_len": 512,
        "rope_fraction": 0.5,
        "qk_norm": True,
        "tied": True,
        "dtype": "float32",
        "remat": "none",
        "unroll": 3,
    },
}
SMALL = {
    "vision": {"width": 384, "num_layers": 8, "num_heads": 6, "mlp_dim": 1536},
    "connector": {"hidden_dim": 768},
    "decoder": {
        "width": 384,
        "num_layers": 8,
        "num_heads": 6,
        "num_kv_heads": 2,
        "mlp_dim": 1024,
        "qk_norm": True,
        "tied": True,
    },
}

# name -> (patch, width, layers, heads, MLP width)
VIT_SIZES = {
    "vit-s16": (16, 384, 12, 6, 1536),
    "vit-b16": (16, 768, 12, 12, 3072),
    "vit-b14": (14, 768, 12, 12, 3072),
    "vit-l16": (16, 1024, 24, 16, 4096),
}
# DINOv2's options: LayerScale, and tokens that hold what belongs to no patch.
VIT_OPTIONS = {
    "": {},
    "-ls": {"layer_scale": 1e-5},
    "-reg": {"num_registers": 4},
    "-ls-reg": {"layer_scale": 1e-5, "num_registers": 4},
}
VIT_FIELDS = ("patch_size", "width", "num_layers", "num_heads", "mlp_dim")
VISION = {
    name + suffix: {**dict(zip(VIT_FIELDS, size, strict=True)), **options}
    for name, size in VIT_SIZES.items()
    for suffix, options in VIT_OPTIONS.items()
} | {"resnext50": {"family": "resnext"}}  # 32x4d

V2 = {"vision": {}, "connector": {}, "decoder": {}}
V2_GPT2 = {
    "vision": {},
    "connector": {"hidden_dim": 512},  # mlp2x_gelu: as wide as the decoder
    "decoder": {
        "family": "gpt2",
        "vocab_size": 6000,
        "width": 512,
        "num_layers": 8,
        "num_heads": 32,
        "mlp_dim": 2048,
        "max_len": 8192,
        "positions": "sinusoidal",
    },
}
V1 = {
    "vision": {"family": "resnext"},
    "connector": {"hidden_dim": 256},
    "decoder": {"family": "gpt2"},
}
V1_LLAMA = {
    "vision": {},
    "connector": {},
    "decoder": {"vocab_size": 32000, "max_len": 2048},
}
V1_NURSERY = {
    "vision": NURSERY["vision"],
    "connector": {"hidden_dim": 256, "tokens_per_image": 1},
    "decoder": {
        "family": "gpt2",
        "vocab_size": 512,  # the demo's corpus has 195 words that come three times
        "width": 128,
        "num_layers": 3,
        "num_heads": 4,
        "mlp_dim": 512,
        "max_len": 256,
        "dtype": "float32",
        "remat": "none",
        "unroll": 3,
    },
}

MODELS = {
    "nursery": NURSERY,
    "small": SMALL,
    "v2": V2,
    "v2-gpt2": V2_GPT2,
    "v1": V1,
    "v1-llama": V1_LLAMA,
    "v1-nursery": V1_NURSERY,
}
# How a model computes, not what: in every config, so that flags can change it.
for _model in MODELS.values():
    _model["vision"] = {"remat": "full", **_model["vision"]}
    _how = {"attention": "auto", "remat": "full", "logits_chunk": 0}
    _model["decoder"] = {**_how, **_model["decoder"]}

# name -> patch, width, layers, heads and MLP of the pictures' tower; width, heads and
# MLP of the texts', which has 12 layers and 77 positions; the shared space. Source: the
# models' table in arXiv 2103.00020.
_CLIP_SIZES = {
    "clip-b32": ((32, 768, 12, 12, 3072), (512, 8, 2048), 512),
    "clip-b16": ((16, 768, 12, 12, 3072), (512, 8, 2048), 512),
    "clip-l14": ((14, 1024, 24, 16, 4096), (768, 12, 3072), 768),
}
CLIP = {
    name: {
        "vision": {
            **dict(zip(VIT_FIELDS, eyes, strict=True)),
            "activation": "quick_gelu",
            "pre_norm": True,
            "patch_bias": False,
            "pixels": "clip",
            "norm_eps": 1e-5,
        },
        "contrastive": {
            "embed_dim": space,
            "pool": "cls",
            "image_bias": False,
            "text": {
                "family": "gpt2",
                "vocab_size": 49408,
                **dict(zip(("width", "num_heads", "mlp_dim"), words, strict=True)),
                "num_layers": 12,
                "max_len": 77,
                "activation": "quick_gelu",
            },
        },
    }
    for name, (eyes, words, space) in _CLIP_SIZES.items()
}

# What the pictures and rows must be for a model: (image side, tokens an image takes,
# row length and image slots). Those of V2 hold a memory dialogue of 29 pictures;
# V1's contexts do not.
ROWS = {
    "nursery": (32, 1, 288, 32),
    "small": (224, 197, 8192, 32),
    "v2": (224, 197, 8192, 32),
    "v2-gpt2": (224, 197, 8192, 32),
    "v1": (224, 49, 1024, 16),
    "v1-llama": (224, 197, 2048, 8),
    "v1-nursery": (32, 1, 128, 16),
}

# Few and narrow layers of every family, for smoke tests.
_TINY_VISION = {
    "vit": {
        "image_size": 32,
        "patch_size": 16,
        "width": 32,
        "num_layers": 2,
        "num_heads": 2,
        "mlp_dim": 64,
    },
    "resnext": {
        "image_size": 32,
        "stages": (1, 1, 1),
        "stem_width": 8,
        "groups": 4,
        "group_width": 2,
    },
}
_TINY_TOKENS = {"vit": 5, "resnext": 4}  # squares of 16 pixels, and CLS
_TINY_DECODER = {"width": 64, "num_layers": 2, "num_heads": 4, "mlp_dim": 128}


def tiny(model: dict) -> tuple[int, int, dict]:
    """A smallest model of the same families: (image side, tokens an image, model)."""
    eyes = model["vision"].get("family", "vit")
    words = model["decoder"].get("family", "llama")
    plain = {"dtype": "float32", "remat": "none"}
    small = {
        "vision": {**model["vision"], **_TINY_VISION[eyes], **plain},
        "connector": {**model["connector"], "hidden_dim": 64},
        "decoder": {**model["decoder"], **_TINY_DECODER, **plain},
    }
    if words == "llama":
        small["decoder"]["num_kv_heads"] = 2
    return _TINY_VISION[eyes]["image_size"], _TINY_TOKENS[eyes], small
