"""Image encoders as transformers, timm, DINO and torchvision name them.

For vision transformers the four differ in names and in whether q, k and v are fused;
`NAMES` lists them. The ResNeXt-50 is torchvision's.

Source: the modules `vision_transformer.py` of torchvision, timm, DINO and DINOv2, and
`modeling_vit.py`, `modeling_dinov2*.py` of transformers. `tests/models/interop/
test_names.py` holds the names against lists of theirs.
"""

from typing import NamedTuple

from babyvlm_jax.models.config import ResNeXtConfig, ViTConfig
from babyvlm_jax.models.interop.table import (
    TRANSPOSE,
    UNBATCH,
    Rule,
    Table,
    conv,
    linear,
    norm,
)
from babyvlm_jax.runtime.errors import UserError


class Names(NamedTuple):
    """Names of one library; those of a layer stand below `layer`.

    Attributes:
        qkv: three linear maps, or one fused map as (weight, bias).
        scales: the two LayerScale vectors, or none where the library has none.
        registers: register tokens, or "" where the library has none.
    """

    cls: str
    positions: str
    patch: str
    layer: str
    norm1: str
    qkv: tuple[str, ...]
    out: str
    norm2: str
    up: str
    down: str
    last: str
    scales: tuple[str, ...] = ()
    registers: str = ""
    ignored: tuple[str, ...] = ()


TRANSFORMERS = Names(
    cls="embeddings.cls_token",
    positions="embeddings.position_embeddings",
    patch="embeddings.patch_embeddings.projection",
    layer="layers.{layer}",
    norm1="layernorm_before",
    qkv=("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    out="attention.o_proj",
    norm2="layernorm_after",
    up="mlp.fc1",
    down="mlp.fc2",
    last="layernorm",
    ignored=(r"pooler\.dense\.(weight|bias)", r"embeddings\.mask_token"),
)
# Files written by transformers 4, and by 5 for the sake of 4.
TRANSFORMERS_4 = TRANSFORMERS._replace(
    layer="encoder.layer.{layer}",
    qkv=tuple(f"attention.attention.{name}" for name in ("query", "key", "value")),
    out="attention.output.dense",
    up="intermediate.dense",
    down="output.dense",
)
DINOV2 = TRANSFORMERS._replace(
    layer="encoder.layer.{layer}",
    norm1="norm1",
    norm2="norm2",
    scales=("layer_scale1.lambda1", "layer_scale2.lambda1"),
    registers="embeddings.register_tokens",
)
DINOV2_4 = DINOV2._replace(qkv=TRANSFORMERS_4.qkv, out=TRANSFORMERS_4.out)
TIMM = Names(
    cls="cls_token",
    positions="pos_embed",
    patch="patch_embed.proj",
    layer="blocks.{layer}",
    norm1="norm1",
    qkv=("attn.qkv.weight", "attn.qkv.bias"),
    out="attn.proj",
    norm2="norm2",
    up="mlp.fc1",
    down="mlp.fc2",
    last="norm",
    scales=("ls1.gamma", "ls2.gamma"),
    ignored=(r"(head|fc_norm)\..*", "mask_token"),
)
# The repositories of DINO and DINOv2. timm has registers too (`reg_token`), but gives
# them positions, or takes those of CLS away: see `interchange.towers`.
DINO = TIMM._replace(registers="register_tokens")
TORCHVISION = Names(
    cls="class_token",
    positions="encoder.pos_embedding",
    patch="conv_proj",
    layer="encoder.layers.encoder_layer_{layer}",
    norm1="ln_1",
    qkv=("self_attention.in_proj_weight", "self_attention.in_proj_bias"),
    out="self_attention.out_proj",
    norm2="ln_2",
    up="mlp.0",
    down="mlp.3",
    last="encoder.ln",
    ignored=(r"heads\..*",),
)
# Files saved by torchvision before 0.13, the published ones among them; newer ones
# rename their leaves on loading.
TORCHVISION_0_12 = TORCHVISION._replace(up="mlp.linear_1", down="mlp.linear_2")

NAMES = {
    "transformers": TRANSFORMERS,
    "transformers4": TRANSFORMERS_4,
    "dinov2": DINOV2,
    "dinov2_4": DINOV2_4,
    "timm": TIMM,
    "dino": DINO,
    "torchvision": TORCHVISION,
    "torchvision_0.12": TORCHVISION_0_12,
}


def vit(cfg: ViTConfig, library: str) -> Table:
    """The table of an encoder in the naming of one of `NAMES`.

    Raises:
        UserError: the config has a part that the library does not have.
    """
    names = NAMES[library]
    _check(cfg, names, library)
    layer = names.layer
    rules = [
        Rule(names.cls, "cls", UNBATCH),
        Rule(names.positions, "positions", UNBATCH),
        Rule(f"{names.patch}.weight", "stem/patch/w", conv(cfg.patch_size)),
        Rule(f"{names.patch}.bias", "stem/patch/b"),
        *norm(f"{layer}.{names.norm1}", "blocks/norm1"),
        *_attention_inputs(names),
        *linear(f"{layer}.{names.out}", "blocks/attn/o"),
        *norm(f"{layer}.{names.norm2}", "blocks/norm2"),
        *linear(f"{layer}.{names.up}", "blocks/mlp/up"),
        *linear(f"{layer}.{names.down}", "blocks/mlp/down"),
        *norm(names.last, "norm"),
    ]
    if cfg.layer_scale:
        rules += [
            Rule(f"{layer}.{name}", f"blocks/scale{number}")
            for number, name in enumerate(names.scales, start=1)
        ]
    if cfg.num_registers:
        rules.append(Rule(names.registers, "registers", UNBATCH))
    return Table(tuple(rules), cfg.num_layers, names.ignored)


def _attention_inputs(names: Names):
    root = f"{names.layer}."
    if len(names.qkv) == 3:
        for theirs, ours in zip(names.qkv, "qkv", strict=True):
            yield from linear(root + theirs, f"blocks/attn/{ours}")
        return
    weight, bias = names.qkv
    for part, ours in enumerate("qkv"):
        yield Rule(root + weight, f"blocks/attn/{ours}/w", TRANSPOSE, (part, 3))
        yield Rule(root + bias, f"blocks/attn/{ours}/b", part=(part, 3))


def _check(cfg: ViTConfig, names: Names, library: str) -> None:
    for present, known, what in (
        (cfg.stem != "patch", False, f"vision.stem {cfg.stem!r}"),
        (cfg.layer_scale, names.scales, f"vision.layer_scale {cfg.layer_scale}"),
        (cfg.num_registers, names.registers, f"{cfg.num_registers} register tokens"),
        (cfg.is_clip, False, "an encoder of CLIP's kind"),
    ):
        if present and not known:
            raise UserError(
                f"{what} has no counterpart in {library}'s vision transformer; "
                f"known are {sorted(NAMES)}"
            )


STATISTICS = {
    "weight": "scale",
    "bias": "bias",
    "running_mean": "mean",
    "running_var": "var",
}


def resnext(cfg: ResNeXtConfig) -> Table:
    """`torchvision.models.resnext50_32x4d` without its classifier."""
    rules = [*_conv_and_norm("conv1", "bn1", "conv1", "norm1", 7)]
    for stage, num_blocks in enumerate(cfg.stages, start=1):
        for block in range(num_blocks):
            theirs, ours = f"layer{stage}.{block}", f"stage{stage}_block{block}"
            for number, window in ((1, 1), (2, 3), (3, 1)):
                rules += _conv_and_norm(
                    f"{theirs}.conv{number}",
                    f"{theirs}.bn{number}",
                    f"{ours}/conv{number}",
                    f"{ours}/norm{number}",
                    window,
                )
        first = f"layer{stage}.0.downsample", f"stage{stage}_block0/shortcut"
        rules += _conv_and_norm(
            f"{first[0]}.0", f"{first[0]}.1", first[1], f"{first[1]}_norm", 1
        )
    return Table(tuple(rules), ignored=(r".*\.num_batches_tracked", r"fc\..*"))


def _conv_and_norm(conv_name, norm_name, our_conv, our_norm, window):
    yield Rule(f"{conv_name}.weight", f"{our_conv}/w", conv(window))
    for theirs, ours in STATISTICS.items():
        yield Rule(f"{norm_name}.{theirs}", f"{our_norm}/{ours}")
