"""The sizes of the model that configs name; what is not said is the published value.

nursery   1 M parameters, learns on a laptop; ours
small     30 M parameters for one consumer GPU; ours
v2        BabyVLM-V2: ViT-L/16, connector 1024-2048-2048, 22-layer decoder of 2048
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
V2 = {"vision": {}, "connector": {}, "decoder": {}}

MODELS = {"nursery": NURSERY, "small": SMALL, "v2": V2}

# What the pictures and rows must be for a model: (image side, tokens an image takes,
# row length and image slots that hold a memory dialogue of 29 pictures).
ROWS = {
    "nursery": (32, 1, 288, 32),
    "small": (224, 197, 8192, 32),
    "v2": (224, 197, 8192, 32),
}
