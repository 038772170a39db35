"""What is compared with torch: configs, inputs and our side of the computation.

Every case exists in two sizes: `tiny`, whose goldens are stored beside this file, and
`true`, the published architecture with two layers a stack.
"""

import dataclasses
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from babyvlm_jax.losses import token_nll
from babyvlm_jax.models.config import (
    ConnectorConfig,
    DecoderConfig,
    GPT2Config,
    ResNeXtConfig,
    ViTConfig,
    VLMConfig,
)
from babyvlm_jax.models.interop import llava
from babyvlm_jax.models.interop.table import Table, prefixed, to_ours
from babyvlm_jax.models.vision import ENCODERS
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.fields import from_dict
from configs.models import MODELS

EXACT = {"dtype": "float32", "remat": "none"}
TINY_VIT = ViTConfig(
    image_size=16,
    patch_size=4,
    width=16,
    num_layers=2,
    num_heads=4,
    mlp_dim=48,
    **EXACT,
)
TINY_LLAMA = DecoderConfig(
    vocab_size=70,
    width=32,
    num_layers=2,
    num_heads=8,
    num_kv_heads=2,
    mlp_dim=48,
    max_len=64,
    **EXACT,
)
TINY_GPT2 = GPT2Config(
    vocab_size=70, width=24, num_layers=2, num_heads=6, mlp_dim=40, max_len=40, **EXACT
)
TINY_RESNEXT = ResNeXtConfig(
    image_size=16, stages=(2, 2), stem_width=8, groups=4, group_width=2, **EXACT
)
DINOV2 = {"layer_scale": 1e-5, "position_resize": "torch"}
REGISTERS = {"layer_scale": 1e-5, "num_registers": 4}


class Case(NamedTuple):
    """One comparison.

    Attributes:
        config: of the part, or of the whole model.
        tables: torch names -> paths from the root of the parameters.
        batch: rows for a decoder or a whole model; {"images"} for an encoder.
    """

    config: Any
    tables: tuple[Table, ...]
    batch: dict[str, np.ndarray]


def _true(name: str) -> VLMConfig:
    """A published model in f32 with two layers, in a ResNeXt two blocks a stage.

    In a whole ResNeXt-50 f32 gradients are noise of 4e-3: signs before a ReLU turn.
    """
    cfg = from_dict(VLMConfig, MODELS[name])
    vision = cfg.vision
    shallow = {"num_layers": 2}
    if isinstance(vision, ResNeXtConfig):
        shallow = {"stages": (2, 2, 2, 2)}
    return VLMConfig(
        dataclasses.replace(vision, **shallow, **EXACT),
        cfg.connector,
        dataclasses.replace(cfg.decoder, num_layers=2, **EXACT),
    )


def make_case(name: str, size: str = "tiny") -> Case:
    """The case of one of `NAMES`."""
    tiny = size == "tiny"
    if name == "llama":
        return _text(TINY_LLAMA if tiny else _true("v2").decoder)
    if name == "gpt2":
        return _text(TINY_GPT2 if tiny else _true("v1").decoder)
    if name == "gpt2_sinusoidal":
        fixed = dataclasses.replace(TINY_GPT2, positions="sinusoidal")
        return _text(fixed if tiny else _true("v2-gpt2").decoder)
    if name == "resnext":
        cfg = TINY_RESNEXT if tiny else _true("v1").vision
        return _pictures(cfg, "torchvision", 2 * cfg.stride, 3 * cfg.stride)
    if name == "resnext_whole":
        cfg = dataclasses.replace(_true("v1").vision, stages=(3, 4, 6, 3))
        return _pictures(cfg, "torchvision", 64, 64)
    if name == "llava":
        return _whole(tiny)
    library, side, options = ENCODER_CASES[name]
    cfg = dataclasses.replace(TINY_VIT if tiny else _true("v2").vision, **options)
    if not side:
        return _pictures(cfg, library, cfg.image_size, cfg.image_size)
    height = (side if tiny else 3 * side) * cfg.patch_size
    return _pictures(cfg, library, height, height + cfg.patch_size)


# Naming, rows of patches and options. The positions of the tiny size are 4 x 4, those
# of the true size 14 x 14, where pictures have three times the rows that stand here;
# they have one column more than rows. 0 is the positions' own grid.
ENCODER_CASES = {
    "vit": ("transformers", 0, {}),
    "vit_grown": ("transformers", 7, {"position_resize": "torch"}),
    "dinov2": ("dinov2", 3, DINOV2),
    "registers_grown": ("dinov2", 7, REGISTERS),
    "registers_shrunk": ("dinov2", 3, REGISTERS),
    "timm": ("timm", 3, {"layer_scale": 1e-5}),
    "timm_grown": ("timm", 6, {}),
    "torchvision": ("torchvision", 0, {}),
}
GOLDEN = (
    "llama",
    "gpt2",
    "gpt2_sinusoidal",
    "vit",
    "vit_grown",
    "dinov2",
    "registers_grown",
    "registers_shrunk",
    "resnext",
    "llava",
)
WITH_GRADIENTS = ("llama", "gpt2", "dinov2", "resnext", "llava")


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _text(cfg) -> Case:
    rng = _rng(f"text {cfg.family}")
    num_tokens = 12 if cfg.width < 100 else 48
    lengths = (num_tokens, num_tokens - 5)
    rows = [rng.integers(0, cfg.vocab_size, n).tolist() for n in lengths]
    batch = _rows(rows, num_tokens, image_token=None)
    batch["images"] = np.zeros((2, 0, 8, 8, 3), np.uint8)
    return Case(cfg, (prefixed(llava.decoder(cfg), ours="decoder/"),), batch)


def _pictures(cfg, library: str, height: int, width: int) -> Case:
    rng = _rng(f"pictures {library}")
    images = rng.integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    tables = (prefixed(llava.vision(cfg, library), ours="vision/"),)
    return Case(cfg, tables, {"images": images})


def _whole(tiny: bool) -> Case:
    """Two rows: two pictures and words between them; one picture, shorter."""
    cfg = _true("v2")
    if tiny:
        small = dataclasses.replace(TINY_VIT, image_size=8)
        cfg = VLMConfig(small, ConnectorConfig(hidden_dim=TINY_LLAMA.width), TINY_LLAMA)
    rng = _rng("whole")
    picture = cfg.decoder.vocab_size - 1  # stands at visual positions

    def words(n):
        return rng.integers(0, picture, n).tolist()

    place = [picture] * cfg.tokens_per_image
    rows = [
        [*words(1), *place, *words(4), *place, *words(5)],
        [*words(3), *place, *words(6)],
    ]
    batch = _rows(rows, len(rows[0]), picture)
    side = cfg.vision.image_size
    batch["images"] = rng.integers(0, 256, (2, 2, side, side, 3)).astype(np.uint8)
    return Case(cfg, llava.llava(cfg), batch)


def _rows(rows, num_tokens: int, image_token: int | None):
    """Lists of ids -> the row contract; loss on every word but the first."""
    shape = (len(rows), num_tokens)
    tokens = np.zeros(shape, np.int32)
    real = np.zeros(shape, bool)
    for row, ids in enumerate(rows):
        tokens[row, : len(ids)] = ids
        real[row, : len(ids)] = True
    visual = real & (tokens == image_token)
    targets = np.pad(tokens[:, 1:], ((0, 0), (0, 1)))
    follows = np.pad((real & ~visual)[:, 1:], ((0, 0), (0, 1)))
    return {
        "tokens": tokens,
        "targets": targets,
        "loss_mask": follows,
        "positions": np.tile(np.arange(num_tokens, dtype=np.int32), (len(rows), 1)),
        "segment_ids": real.astype(np.int32),
        "visual_index": np.where(visual, np.cumsum(visual, axis=1) - 1, -1),
    }


def params_of(case: Case, weights):
    """Torch-named arrays -> our parameters; serves gradients too."""
    flat = {
        path: jnp.asarray(leaf)
        for table in case.tables
        for path, leaf in to_ours(table, weights.__getitem__)
    }
    return unflatten_dict(flat, sep="/")


def in_bfloat16(case: Case) -> Case:
    """The same case with matmuls in bfloat16."""
    cfg = case.config
    if not isinstance(cfg, VLMConfig):
        return case._replace(config=dataclasses.replace(cfg, dtype="bfloat16"))
    vision = dataclasses.replace(cfg.vision, dtype="bfloat16")
    decoder = dataclasses.replace(cfg.decoder, dtype="bfloat16")
    return case._replace(config=VLMConfig(vision, cfg.connector, decoder))


def cotangent(shape) -> np.ndarray:
    """Fixed weights that make a number of an encoder's tokens."""
    return _rng("cotangent").normal(size=shape).astype(np.float32) / shape[-1]


def forward(case: Case, params):
    """Logits of the real vocabulary, or an encoder's tokens."""
    cfg = case.config
    if type(cfg) in ENCODERS:
        module = ENCODERS[type(cfg)](cfg)
        return module.apply({"params": params["vision"]}, case.batch["images"])
    whole = cfg if isinstance(cfg, VLMConfig) else VLMConfig(decoder=cfg)
    return make_model(whole).forward(params, case.batch)


def loss(case: Case, params) -> tuple[jax.Array, jax.Array]:
    """The number whose gradients are compared, and the outputs."""
    out = forward(case, params)
    if type(case.config) in ENCODERS:
        return jnp.sum(out * cotangent(out.shape)), out
    total, count = token_nll(out, case.batch["targets"], case.batch["loss_mask"])
    return total / count, out


def compare(ours, theirs, case: Case) -> None:
    """Asserts equality within the tolerances of the project.

    Args:
        ours: (loss, outputs, gradients) with the gradients as a flat dict.
        theirs: the same from torch, the gradients mapped to our paths.
    """
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
    out, expected = ours[1][..., : theirs[1].shape[-1]], theirs[1]
    if "segment_ids" in case.batch:  # what padding gives is nobody's concern
        real = case.batch["segment_ids"] > 0
        out, expected = out[real], expected[real]
    assert np.abs(out - expected).max() < 2e-4
    whole = np.sqrt(sum(np.sum(g**2) for g in theirs[2].values()))
    for path, gradient in theirs[2].items():
        distance = np.linalg.norm(ours[2][path] - gradient)
        # Biases of keys have no gradient but rounding: softmax ignores them.
        limit = 1e-3 * np.linalg.norm(gradient) + 1e-6 * whole
        assert distance <= limit, f"{path}: {distance} > {limit}"


def compare_bfloat16(case: Case, weights, expected) -> None:
    """Asserts that bfloat16 keeps the probabilities to 2e-2.

    Args:
        expected: f32 logits of torch.
    """
    rounded = in_bfloat16(case)
    logits = jax.jit(lambda p: forward(rounded, p))(params_of(case, weights))
    real = case.batch["segment_ids"] > 0
    ours = jax.nn.softmax(logits[..., : expected.shape[-1]])[real]
    distance = np.abs(ours - jax.nn.softmax(expected)[real]).max()
    assert 0 < distance < 2e-2
