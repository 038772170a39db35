"""Recognises what a folder or file of torch weights is.

Each kind of source says which model it holds and which tables fill it. `find` goes
through the kinds; what none knows is refused.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping

from babyvlm_jax.interchange.clip import clip_configs
from babyvlm_jax.interchange.decoders import LLAMA_DEFAULTS, decoder_config
from babyvlm_jax.interchange.foreign import Section, read_section
from babyvlm_jax.interchange.towers import find_tower, shape_of
from babyvlm_jax.interchange.weights import Leaf, open_weights
from babyvlm_jax.models.config import (
    PAIR_PARTS,
    PARTS,
    ConnectorConfig,
    ContrastiveConfig,
    GPT2Config,
    VLMConfig,
)
from babyvlm_jax.models.interop import llava
from babyvlm_jax.models.interop.clip import clip
from babyvlm_jax.models.interop.table import Rule, Table, prefixed
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.runtime.json_fields import shown

PROJECTOR = "mm_projector.0.weight"  # LLaVA's connector, wherever it stands
OURS = "babyvlm"  # the model type, and the key of config.json that holds our config
# The projection heads beside the backbone of DINO, DINOv2 and iBOT.
_DINO_HEAD = r"(module\.)?((dino|ibot)_)?head\..*"


@dataclasses.dataclass(frozen=True)
class Source:
    """Something that can be imported.

    Attributes:
        kind: what it is, for people.
        model: the architecture; only `parts` of it are there.
        parts: of `vlm.PARTS`, or `pair_config.PAIR_PARTS`.
        tables: how their leaves fill ours.
        leaves: theirs.
        template: how the model is talked to, blanks and all: byte-level tokenizers
            make tokens of them.
        pair: of a contrastive model, whose image tower is `model.vision`.
    """

    kind: str
    model: VLMConfig
    parts: tuple[str, ...]
    tables: tuple[Table, ...]
    leaves: Mapping[str, Leaf]
    template: str = "baby_v1_verbatim"
    pair: ContrastiveConfig | None = None


def find(path: pathlib.Path, dtype: str) -> Source:
    """Recognises a source.

    Args:
        path: a folder or a file.
        dtype: of the computation, for the model's config.

    Raises:
        UserError: nothing here knows it, or it is damaged; names the file.
    """
    leaves = open_weights(path)
    try:
        return _find(path, leaves, dtype)
    except UserError as error:  # a config of ours refuses values without their file
        told = str(error)
        raise UserError(told if str(path) in told else f"{path}: {told}") from None


def _find(path, leaves, dtype) -> Source:
    config = _read_config(path)
    if OURS in config.values:
        return _ours(path, config, leaves, dtype)
    kind = config.get("model_type")
    if kind == "llava":
        return _transformers(path, config, leaves, dtype)
    if kind == "clip":
        vision, pair = clip_configs(path, config.values, dtype)
        tables, model = clip(vision, pair.text), VLMConfig(vision=vision)
        return Source("CLIPModel", model, PAIR_PARTS, tables, leaves, "plain", pair)
    projector = [name for name in leaves if name.endswith(PROJECTOR)]
    if projector and len(leaves) <= 4:
        return _projector(path, projector[0].removesuffix("0.weight"), leaves)
    if projector:
        return _llava(path, config, projector[0], leaves, dtype)
    if config.values and path.is_dir():
        raise UserError(
            f"{path}: the architecture {shown(config.get('architectures'))} of model "
            f"type {shown(kind)} is not known here; expected LLaVA with a "
            "ViT or ResNeXt before a Llama or GPT-2 decoder, or CLIP"
        )
    return _vision(path, leaves, dtype)


def _read_config(path: pathlib.Path) -> Section:
    file = path / "config.json"
    if not path.is_dir() or not file.exists():
        return Section(file, {})
    return read_section(file)


def _ours(path, config: Section, leaves, dtype) -> Source:
    """A folder that `exporting` wrote, in any of its formats."""
    if OURS not in config:
        raise UserError(f"{config.file}: {OURS} is null; expected an object")
    own = config.section(OURS)
    model = _model(own.section("model"), dtype)
    template, form = own.text("template"), own.text("format")
    kind = f"an export of this project ({form})"
    if form == "llava":
        names = [name for name in leaves if name.endswith(PROJECTOR)]
        if not names:
            raise UserError(f"{path} lacks {PROJECTOR!r}, which the format llava has")
        tables, leaves = _llava_tables(path, model, names[0], leaves)
    elif config.get("model_type") == "llava":
        tables, leaves = _transformers_tables(path, model, leaves)
    else:
        leaves = {name.replace(".", "/"): leaf for name, leaf in leaves.items()}
        tables = (Table(tuple(Rule(name, name) for name in leaves)),)
    return Source(kind, model, PARTS, tables, leaves, template)


def _model(section: Section, dtype) -> VLMConfig:
    """A model as our own config.json has it."""
    where = f"{section.file}: {section.name}"
    return with_dtype(from_dict(VLMConfig, section.values, where), dtype)


def _llava(path, config, projector, leaves, dtype) -> Source:
    """A folder in the naming of the original LLaVA code, as BabyLLaVA's."""
    shape = shape_of(str(path), leaves, projector, 2)
    eyes = config.section("vision_config")
    heads = eyes.whole("num_attention_heads", 0, least=0)
    tower = find_tower(str(path), leaves, heads, dtype=dtype)
    decoder = decoder_config(path, config.values, dtype)
    model = VLMConfig(tower.config, ConnectorConfig(hidden_dim=shape[0]), decoder)
    tables, leaves = _llava_tables(path, model, projector, leaves)
    kind = f"LLaVA naming, {tower.library} {tower.config.family} + {decoder.family}"
    v1 = tower.config.family == "resnext"
    template = {"template": "plain"} if v1 else {}
    return Source(kind, model, PARTS, tables, leaves, **template)


def _llava_tables(path, model, projector, leaves):
    root = projector.removesuffix(f".{PROJECTOR}")
    tower = find_tower(str(path), leaves)
    if isinstance(model.decoder, GPT2Config):
        # `transformer` in GPT2LMHeadModel, `model` where LLaVA wraps it
        body = re.escape(root) + r"\.(?=(wte|wpe|h|ln_f)\.)"
        leaves = {re.sub(body, "transformer.", k): v for k, v in leaves.items()}
    mapped = llava.connector(
        model.connector, f"{root}.mm_projector.0", f"{root}.mm_projector.2"
    )
    tables = (
        prefixed(llava.vision(model.vision, tower.library), tower.prefix, "vision/"),
        prefixed(mapped, ours="connector/"),
        prefixed(llava.decoder(model.decoder), ours="decoder/"),
    )
    return tables, leaves


def _transformers(path, config, leaves, dtype) -> Source:
    """A folder of `LlavaForConditionalGeneration`."""
    text, eyes = config.section("text_config"), config.section("vision_config")
    wrong = {
        "text_config.model_type": (text.get("model_type"), "llama"),
        "vision_config.model_type": (eyes.get("model_type"), "vit"),
        "vision_feature_layer": (config.get("vision_feature_layer", -2), -1),
        "vision_feature_select_strategy": (
            config.get("vision_feature_select_strategy", "default"),
            "full",
        ),
        "vision_config.tie_last_hidden_states": (
            eyes.get("tie_last_hidden_states", False),
            True,
        ),
        "projector_hidden_act": (config.get("projector_hidden_act", "gelu"), "gelu"),
    }
    for name, (found, expected) in wrong.items():
        if found != expected:
            raise UserError(
                f"{config.file}: {name} is {shown(found)}, but this architecture is "
                f"only known with {expected!r} (all tokens of a ViT after its final "
                "norm)"
            )
    eps = {}
    if "layer_norm_eps" in eyes:
        eps["norm_eps"] = eyes.number("layer_norm_eps")
    heads = eyes.whole("num_attention_heads", 0, least=0)
    tower = find_tower(str(path), leaves, heads, dtype=dtype, **eps)
    words = {**LLAMA_DEFAULTS, **text.values}
    decoder = decoder_config(path, words, dtype, text.name)
    if config.flag("tie_word_embeddings", False):
        decoder = dataclasses.replace(decoder, tied=True)
    connector = ConnectorConfig(hidden_dim=decoder.width)
    model = VLMConfig(tower.config, connector, decoder)
    tables, leaves = _transformers_tables(path, model, leaves)
    return Source("LlavaForConditionalGeneration", model, PARTS, tables, leaves)


def _transformers_tables(path, model, leaves):
    """Tables, and leaves under the names of transformers 5 whoever wrote them."""
    renamed = {}
    for name, leaf in leaves.items():
        name = name.removeprefix("model.").replace("language_model.model.", "model.", 1)
        name = re.sub(r"^language_model\.(?!lm_head)", "model.", name)
        name = name.removeprefix("language_model.")
        lifted = re.sub(r"^model\.", "model.language_model.", name)
        lifted = re.sub(r"^(?=vision_tower|multi_modal)", "model.", lifted)
        renamed[lifted] = leaf
    decoder = model.decoder
    rows, table = decoder.padded_vocab_size, "model.language_model.embed_tokens.weight"
    for name in {table, "lm_head.weight"} & set(renamed):
        if shape_of(str(path), renamed, name, 2)[0] > rows:
            renamed[name] = _first_rows(renamed[name], rows)
    if table in renamed and decoder.vocab_size < renamed[table].shape[0] <= rows:
        decoder = dataclasses.replace(decoder, vocab_size=renamed[table].shape[0])
    tower = find_tower(str(path), renamed)
    full = dataclasses.replace(model, decoder=decoder)
    return llava.llava(full, tower.library), renamed


def _first_rows(leaf: Leaf, rows: int) -> Leaf:
    return leaf._replace(shape=(rows, *leaf.shape[1:]), read=lambda: leaf.read()[:rows])


def _vision(path, leaves, dtype) -> Source:
    """An encoder alone: torchvision's, timm's, DINO's or transformers'."""
    tower = find_tower(str(path), leaves, dtype=dtype)
    table = prefixed(llava.vision(tower.config, tower.library), tower.prefix, "vision/")
    table = table._replace(ignored=(*table.ignored, _DINO_HEAD))
    model = VLMConfig(vision=tower.config)
    kind = f"an encoder, {tower.library} {tower.config.family}"
    return Source(kind, model, ("vision",), (table,), leaves)


def _projector(path, root: str, leaves: Mapping[str, Leaf]) -> Source:
    """A connector alone, as LLaVA's first phase saves it."""
    hidden, seen = shape_of(str(path), leaves, f"{root}0.weight", 2)
    if f"{root}2.weight" not in leaves:
        raise UserError(f"the projector lacks {root}2.weight; expected mlp2x_gelu")
    width, _ = shape_of(str(path), leaves, f"{root}2.weight", 2)
    base = VLMConfig()
    model = VLMConfig(
        dataclasses.replace(base.vision, width=seen, num_heads=1),
        ConnectorConfig(hidden_dim=hidden),
        dataclasses.replace(
            base.decoder,
            width=width,
            num_heads=1,
            num_kv_heads=1,
            head_dim=width,
        ),
    )
    table = prefixed(
        llava.connector(model.connector, f"{root}0", f"{root}2"), ours="connector/"
    )
    return Source("a projector", model, ("connector",), (table,), leaves)


def with_dtype(model: VLMConfig, dtype: str) -> VLMConfig:
    """The architecture with another type of computation."""
    return dataclasses.replace(
        model,
        vision=dataclasses.replace(model.vision, dtype=dtype),
        decoder=dataclasses.replace(model.decoder, dtype=dtype),
    )
