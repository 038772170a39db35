"""Our tables name what the published encoders' files hold, no leaf more or less.

The lists were written from the sources: `vision_transformer.py` and `resnet.py` in
torchvision's `models`, `vision_transformer.py` in timm's and in DINOv2's. Under the
marker `torch` the libraries themselves say what their modules hold.
"""

import math

import pytest

from babyvlm_jax.interchange.fill import our_shapes
from babyvlm_jax.models.config import ResNeXtConfig, ViTConfig, VLMConfig
from babyvlm_jax.models.interop.encoders import resnext, vit
from babyvlm_jax.models.interop.table import their_shapes
from babyvlm_jax.models.vlm import make_model
from tests.chosen import some

D, F, LAYERS = 1024, 4096, 24  # ViT-L/16
TORCHVISION = {
    "class_token": (1, 1, D),
    "conv_proj.weight": (D, 3, 16, 16),
    "conv_proj.bias": (D,),
    "encoder.pos_embedding": (1, 197, D),
    "encoder.layers.encoder_layer_{}.ln_1.weight": (D,),
    "encoder.layers.encoder_layer_{}.ln_1.bias": (D,),
    "encoder.layers.encoder_layer_{}.self_attention.in_proj_weight": (3 * D, D),
    "encoder.layers.encoder_layer_{}.self_attention.in_proj_bias": (3 * D,),
    "encoder.layers.encoder_layer_{}.self_attention.out_proj.weight": (D, D),
    "encoder.layers.encoder_layer_{}.self_attention.out_proj.bias": (D,),
    "encoder.layers.encoder_layer_{}.ln_2.weight": (D,),
    "encoder.layers.encoder_layer_{}.ln_2.bias": (D,),
    "encoder.layers.encoder_layer_{}.mlp.0.weight": (F, D),
    "encoder.layers.encoder_layer_{}.mlp.0.bias": (F,),
    "encoder.layers.encoder_layer_{}.mlp.3.weight": (D, F),
    "encoder.layers.encoder_layer_{}.mlp.3.bias": (D,),
    "encoder.ln.weight": (D,),
    "encoder.ln.bias": (D,),
}
# As in the published vit_l_16-852ce7e3.pth: its version of MLPBlock is below 2.
TORCHVISION_0_12 = {
    name.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): shape
    for name, shape in TORCHVISION.items()
}
TIMM = {
    "cls_token": (1, 1, D),
    "pos_embed": (1, 197, D),
    "patch_embed.proj.weight": (D, 3, 16, 16),
    "patch_embed.proj.bias": (D,),
    "blocks.{}.norm1.weight": (D,),
    "blocks.{}.norm1.bias": (D,),
    "blocks.{}.attn.qkv.weight": (3 * D, D),
    "blocks.{}.attn.qkv.bias": (3 * D,),
    "blocks.{}.attn.proj.weight": (D, D),
    "blocks.{}.attn.proj.bias": (D,),
    "blocks.{}.norm2.weight": (D,),
    "blocks.{}.norm2.bias": (D,),
    "blocks.{}.mlp.fc1.weight": (F, D),
    "blocks.{}.mlp.fc1.bias": (F,),
    "blocks.{}.mlp.fc2.weight": (D, F),
    "blocks.{}.mlp.fc2.bias": (D,),
    "norm.weight": (D,),
    "norm.bias": (D,),
}
SCALES = {"blocks.{}.ls1.gamma": (D,), "blocks.{}.ls2.gamma": (D,)}
REGISTERS = {"register_tokens": (1, 4, D)}
VITS = {
    "torchvision": ({}, TORCHVISION),
    "torchvision_0.12": ({}, TORCHVISION_0_12),
    "timm": ({"layer_scale": 1e-5}, TIMM | SCALES),
    "dino": ({"layer_scale": 1e-5, "num_registers": 4}, TIMM | SCALES | REGISTERS),
}


def expected_of(names):
    """One entry a layer for every name with a place for its number."""
    return {
        name.format(layer): shape
        for name, shape in names.items()
        for layer in range(LAYERS if "{}" in name else 1)
    }


def norm_of(name, width):
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (width,) for leaf in leaves}


def resnext_names():
    """Leaves of torchvision's resnext50_32x4d without its classifier."""
    names = {"conv1.weight": (64, 3, 7, 7), **norm_of("bn1", 64)}
    channels = 64
    stages = ((3, 128, 256), (4, 256, 512), (6, 512, 1024), (3, 1024, 2048))
    for stage, (num_blocks, inner, outer) in enumerate(stages, start=1):
        for block in range(num_blocks):
            root = f"layer{stage}.{block}"
            names[f"{root}.conv1.weight"] = (inner, channels, 1, 1)
            names[f"{root}.conv2.weight"] = (inner, inner // 32, 3, 3)
            names[f"{root}.conv3.weight"] = (outer, inner, 1, 1)
            for number, width in ((1, inner), (2, inner), (3, outer)):
                names |= norm_of(f"{root}.bn{number}", width)
            if not block:
                names[f"{root}.downsample.0.weight"] = (outer, channels, 1, 1)
                names |= norm_of(f"{root}.downsample.1", outer)
            channels = outer
    return names


def shapes_of(cfg):
    """Path -> shape of an encoder of ours."""
    shapes = our_shapes(make_model(VLMConfig(vision=cfg)), ("vision",))
    return {path.removeprefix("vision/"): shape for path, shape in shapes.items()}


@pytest.mark.parametrize("library", some(VITS, ("timm",)))
def test_names_and_shapes_of_vit_l_16(library):
    options, names = VITS[library]
    cfg = ViTConfig(**options)
    expected = expected_of(names)
    assert their_shapes(vit(cfg, library), shapes_of(cfg)) == expected
    assert sum(map(math.prod, expected_of(TIMM).values())) == 303_301_632


@pytest.mark.integration
def test_names_and_shapes_of_resnext50():
    expected = resnext_names()
    assert their_shapes(resnext(ResNeXtConfig()), shapes_of(ResNeXtConfig())) == (
        expected
    )
    trained = [k for k in expected if "running" not in k]
    assert sum(math.prod(expected[k]) for k in trained) == 22_979_904


def same_but_for_what_is_left_out(table, shapes, module):
    theirs = {name: tuple(leaf.shape) for name, leaf in module.state_dict().items()}
    expected = their_shapes(table, shapes)
    left = set(theirs) - set(expected)
    assert {name: theirs[name] for name in theirs if name not in left} == expected
    assert left and all(table.ignores(name) for name in left)


@pytest.mark.torch
def test_torchvision_names_them_so():
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        encoder, trunk = models.vit_l_16(), models.resnext50_32x4d()
    table = vit(ViTConfig(), "torchvision")
    same_but_for_what_is_left_out(table, shapes_of(ViTConfig()), encoder)
    table = resnext(ResNeXtConfig())
    same_but_for_what_is_left_out(table, shapes_of(ResNeXtConfig()), trunk)


@pytest.mark.torch
@pytest.mark.parametrize("layer_scale", [0.0, 1e-5])
def test_timm_names_them_so(layer_scale):
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        made = timm.create_model(
            "vit_large_patch16_224", init_values=layer_scale or None
        )
    cfg = ViTConfig(layer_scale=layer_scale)
    same_but_for_what_is_left_out(vit(cfg, "timm"), shapes_of(cfg), made)
