"""Work directories with tiny random models of every architecture."""

import dataclasses
import functools
import json
import zlib

import jax
import numpy as np

from babyvlm_jax.data import tokenizer
from babyvlm_jax.interchange.fill import nested, our_shapes
from babyvlm_jax.models.config import (
    PARTS,
    ConnectorConfig,
    GPT2Config,
    ResNeXtConfig,
    VLMConfig,
)
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.training import checkpoint, settings
from tests import tiny

TEXTS = ("look at the red ball", "where is the dog", "a dog! (a) or (b)?") * 5
_CONNECTOR = ConnectorConfig(hidden_dim=32)
_LAYER_SCALE = dataclasses.replace(tiny.VISION, layer_scale=1e-5)
_RESNEXT = ResNeXtConfig(
    image_size=32,
    stages=(1, 1, 1, 1),
    stem_width=8,
    groups=2,
    group_width=2,
    dtype="float32",
    remat="none",
)


def _gpt2(**changes) -> GPT2Config:
    small = {"width": 32, "num_layers": 2, "num_heads": 4, "mlp_dim": 48}
    float32 = {"dtype": "float32", "remat": "none"}
    return GPT2Config(vocab_size=100, **small, **float32, **changes)


MODELS = {
    **tiny.FORMS,
    "tied": VLMConfig(
        tiny.VISION,
        _CONNECTOR,
        # as many tokens as rows: `<image>` needs one more
        dataclasses.replace(tiny.DECODER, vocab_size=128, tied=True),
    ),
    "layer_scale": VLMConfig(_LAYER_SCALE, _CONNECTOR, tiny.DECODER),
    "registers": VLMConfig(
        dataclasses.replace(_LAYER_SCALE, num_registers=2), _CONNECTOR, tiny.DECODER
    ),
    "v2-gpt2": VLMConfig(
        tiny.VISION, _CONNECTOR, _gpt2(max_len=512, positions="sinusoidal")
    ),
    "v1": VLMConfig(_RESNEXT, _CONNECTOR, _gpt2(max_len=256, tied=False)),
}


@functools.lru_cache
def make_tokenizer() -> bytes:
    """Of less than 100 pieces."""
    return tokenizer.train(TEXTS, 95, ["user:", "assistant:", "(a)", "(b)"])


@functools.lru_cache
def make_params(name: str) -> dict[str, np.ndarray]:
    """Path -> random leaf; the rows that pad the vocabulary are random too."""

    def draw(path, shape):
        rng = np.random.default_rng(zlib.crc32(path.encode()))
        leaf = rng.normal(0.0, 0.3, shape)
        kind = path.rpartition("/")[2]
        leaf = 1 + leaf if "scale" in kind else np.exp(leaf) if kind == "var" else leaf
        return leaf.astype(np.float32)

    shapes = our_shapes(make_model(MODELS[name]), PARTS)
    return {path: draw(path, shape) for path, shape in shapes.items()}


def make_workdir(folder, name: str, template: str = "baby_v1"):
    """Writes the work directory of a finished phase; returns it."""
    workdir, model = folder / name, MODELS[name]
    checkpoint.save_params(workdir, 3, nested(make_params(name)))
    (workdir / "tokenizer.model").write_bytes(make_tokenizer())
    config = {
        "name": "instruct",
        "seed": 0,
        "num_steps": 3,
        "model": dataclasses.asdict(model),
        "data": {
            "template": template,
            "tokenizer": "moved/tokenizer.model",
            "tokens_per_image": model.tokens_per_image,
            "image_size": model.vision.image_size,
            "seq_len": 64,
            "batch_size": 2,
            "mixture": {"devcv_count": 1.0},
            "shards": "moved/shards",
        },
        "optim": {"name": "adamw", "lr_peak": 0.01, "trains": [".*"]},
        "warm_start": {"vision": "runs/vision"},
    }
    (workdir / "config.json").write_text(json.dumps(config))
    return workdir


def read_flat(workdir) -> dict[str, np.ndarray]:
    """Path -> leaf of an import, whatever parts it has."""
    config = settings.read_config(workdir)
    mesh, parts = tiny.mesh_of(), tuple(config["parts"])
    with jax.set_mesh(mesh):
        model = make_model(settings.model_of(config))
        abstract = checkpoint.abstract_params(model, mesh, parts)
        tree = {
            part: checkpoint.restore_params(workdir, 0, part, abstract[part])
            for part in parts
        }
    return flatten(tree)


def flatten(tree) -> dict[str, np.ndarray]:
    """Path -> leaf."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def read_params(workdir) -> dict[str, np.ndarray]:
    """Path -> leaf of a work directory."""

    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        _, params, _ = checkpoint.load_model(workdir, mesh)
    return flatten(params)
