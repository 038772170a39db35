"""Writes a checkpoint as a folder that other libraries open."""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from babyvlm_jax.data.hf_tokenizer import from_sentencepiece, with_image_token
from babyvlm_jax.data.words import MAGIC
from babyvlm_jax.interchange import card, hf_config
from babyvlm_jax.interchange.importing import appearing
from babyvlm_jax.interchange.shards import write_weights
from babyvlm_jax.interchange.sources import OURS
from babyvlm_jax.models.config import ViTConfig, VLMConfig
from babyvlm_jax.models.interop import llava
from babyvlm_jax.models.interop.table import Table, prefixed, their_shapes, to_theirs
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.sharding import make_mesh
from babyvlm_jax.training import checkpoint

FORMATS = ("hf", "llava", "safetensors", "lmms-eval")
_CODE = pathlib.Path(__file__).parent / "remote_code"
_SHARD_BYTES = 2 * 10**9
Leaves = Iterator[tuple[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """What to export.

    Attributes:
        checkpoint: work directory, or one of its `checkpoints/STEP`.
        to: folder to write; must not exist.
        format: one of `FORMATS`.
        tokenizer: file, where the one that the checkpoint names is elsewhere.
    """

    checkpoint: str
    to: str
    format: str = "hf"
    tokenizer: str = ""

    def __post_init__(self):
        if self.format not in FORMATS:
            raise UserError(f"--format={self.format}: expected one of {FORMATS}")


class Loaded(NamedTuple):
    """A checkpoint and its tokenizer.

    Attributes:
        model: the architecture.
        flat: path -> our leaf.
        info: see `checkpoint.load_model`.
        tokenizer: the parsed file.
        content: of the tokenizer's file.
    """

    model: VLMConfig
    flat: dict[str, np.ndarray]
    info: dict[str, Any]
    tokenizer: Any
    content: bytes

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {path: leaf.shape for path, leaf in self.flat.items()}

    @property
    def template(self) -> str:
        return self.info["config"]["data"]["template"]


def export(cfg: ExportConfig) -> str:
    """Exports a checkpoint; the folder appears whole or not at all.

    Returns:
        A line on what was written.

    Raises:
        UserError: the folder exists, there is no checkpoint, or the format has no
            place for a part of the model.
    """
    out = pathlib.Path(cfg.to)
    if out.exists():
        raise UserError(f"{out} exists; choose another --to, or delete it")
    loaded = load(cfg)
    if cfg.format != "safetensors":  # errors come before gigabytes are written
        _as_hf(loaded)
        hf_config.form_of(loaded.template)
        hf_config.check_known(loaded.model)
    with appearing(out) as folder:
        how = _WRITERS[cfg.format](folder, loaded)
        (folder / "README.md").write_text(card.make_card(cfg, loaded, how))
    return f"{out}: {how}"


def load(cfg: ExportConfig) -> Loaded:
    """Reads the checkpoint and its tokenizer."""
    mesh = make_mesh({"data": 1, "fsdp": 1, "tensor": 1}, jax.devices()[:1])
    with jax.set_mesh(mesh):
        model, params, info = checkpoint.load_model(cfg.checkpoint, mesh)
    tokenizer, path = checkpoint.load_tokenizer(info, cfg.tokenizer)
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    flat = {
        jax.tree_util.keystr(key, simple=True, separator="/"): np.asarray(leaf)
        for key, leaf in leaves
    }
    return Loaded(model.config, flat, info, tokenizer, path.read_bytes())


def _write_safetensors(folder, loaded: Loaded) -> str:
    shapes = {name.replace("/", "."): s for name, s in loaded.shapes.items()}
    leaves = ((name.replace("/", "."), leaf) for name, leaf in loaded.flat.items())
    write_weights(folder, leaves, shapes, _SHARD_BYTES)
    config = {"model_type": OURS, **_note(loaded, "safetensors")}
    _write_json(folder / "config.json", config)
    _write_tokenizer_as_is(folder, loaded)
    return "our names and layouts, safetensors"


def _write_llava(folder, loaded: Loaded) -> str:
    model = loaded.model
    root = "model" if model.decoder.family == "llama" else "transformer"
    library = _encoder_library(model)
    tower = f"{root}.vision_tower.vision_tower."
    ends = (f"{root}.mm_projector.0", f"{root}.mm_projector.2")
    tables = (
        prefixed(llava.vision(model.vision, library), tower, "vision/"),
        prefixed(llava.connector(model.connector, *ends), ours="connector/"),
        prefixed(llava.decoder(model.decoder), ours="decoder/"),
    )
    _write_tables(folder, loaded, tables, lambda name, leaf: (name, leaf))
    config = {**hf_config.original_config(model), **_note(loaded, "llava")}
    _write_json(folder / "config.json", config)
    _write_tokenizer_as_is(folder, loaded)
    if not (folder / "tokenizer.json").exists():
        (folder / "tokenizer.json").write_text(_as_hf(loaded))
    return f"original LLaVA naming, encoder named as in {library}"


def _encoder_library(model: VLMConfig) -> str:
    """Who names an encoder's leaves; torchvision has no LayerScale and no registers."""
    vision = model.vision
    if isinstance(vision, ViTConfig) and vision.num_registers:
        return "dino"
    if isinstance(vision, ViTConfig) and vision.layer_scale:
        return "timm"
    return "torchvision"


def _write_hf(folder, loaded: Loaded) -> str:
    model = loaded.model
    image_id = model.decoder.vocab_size
    stock = hf_config.is_stock(model)
    if stock:
        rows = _write_llava_weights(folder, loaded)
        config = hf_config.llava_config(model, rows, image_id)
        suppressed = range(image_id, rows)
    else:
        _write_safetensors(folder, loaded)
        shapes = {name.replace("/", "."): s for name, s in loaded.shapes.items()}
        config, suppressed = hf_config.remote_config(shapes, image_id), ()
        shutil.copyfile(_CODE / (name := f"{hf_config.MODULE}.py"), folder / name)
    note = {"dtype": "float32", **_note(loaded, "hf")}
    _write_json(folder / "config.json", {**config, **note})
    generation = hf_config.generation_config(loaded.tokenizer, suppressed)
    _write_json(folder / "generation_config.json", generation)
    _write_processor(folder, loaded, image_id)
    if stock:
        return "transformers' LlavaForConditionalGeneration"
    return f"transformers with {hf_config.MODULE}.py (trust_remote_code=True)"


def _write_llava_weights(folder, loaded: Loaded) -> int:
    """Weights of LlavaForConditionalGeneration; returns rows of the vocabulary."""
    model = loaded.model
    padded = model.decoder.padded_vocab_size
    spare = padded - model.decoder.vocab_size  # <image> needs a row of its own
    rows = padded if spare else padded + 1
    full = dataclasses.replace(
        model, decoder=dataclasses.replace(model.decoder, vocab_size=padded)
    )
    vision, *others = llava.llava(full, "transformers4")
    # A layer that LLaVA makes and does not use.
    width, pooler = model.vision.width, "model.vision_tower.pooler.dense"
    zeros = {f"{pooler}.weight": (width, width), f"{pooler}.bias": (width,)}
    zeros = {name: np.zeros(shape, np.float32) for name, shape in zeros.items()}
    vision = vision._replace(constants={**vision.constants, **zeros})

    def rename(name, leaf):
        if rows > padded and name.endswith(("embed_tokens.weight", "lm_head.weight")):
            leaf = np.pad(leaf, ((0, rows - padded), (0, 0)))
        name = name.replace("model.language_model.", "language_model.model.")
        name = name.replace("lm_head.", "language_model.lm_head.")
        return name.removeprefix("model."), leaf

    _write_tables(folder, loaded, (vision, *others), rename)
    return rows


def _write_tables(folder, loaded: Loaded, tables: tuple[Table, ...], rename) -> None:
    shapes = {}
    empty = np.zeros((), np.int8)
    for table in tables:
        for name, shape in their_shapes(table, loaded.shapes).items():
            name, leaf = rename(name, np.broadcast_to(empty, shape))
            shapes[name] = leaf.shape

    def leaves() -> Leaves:
        for table in tables:
            for name, leaf in to_theirs(table, loaded.flat.__getitem__):
                yield rename(name, leaf)

    write_weights(folder, leaves(), shapes, _SHARD_BYTES)


def _write_processor(folder, loaded: Loaded, image_id: int) -> None:
    text = with_image_token(_as_hf(loaded), image_id)
    (folder / "tokenizer.json").write_text(text)
    if not loaded.content.startswith(b"{"):
        (folder / "tokenizer.model").write_bytes(loaded.content)
    tokenizer = loaded.tokenizer
    names = {
        "bos": tokenizer.name(tokenizer.sos_id),
        "eos": tokenizer.name(tokenizer.eos_id),
        "pad": tokenizer.name(tokenizer.pad_id),
        "unk": tokenizer.name(tokenizer.unk_id),
    }
    config = hf_config.tokenizer_config(names, loaded.model.decoder.max_len)
    _write_json(folder / "tokenizer_config.json", config)
    processor = hf_config.processor_config(loaded.model)
    _write_json(folder / "processor_config.json", processor)
    # Where transformers 4 looks.
    _write_json(folder / "preprocessor_config.json", processor["image_processor"])
    form = hf_config.form_of(loaded.template)
    (folder / "chat_template.jinja").write_text(hf_config.CHAT_TEMPLATES[form])


def _as_hf(loaded: Loaded) -> str:
    if loaded.content.startswith(b"{"):
        return loaded.content.decode()
    if loaded.content.startswith(MAGIC):
        raise UserError(
            "the checkpoint's tokenizer is a word list, which has no form in "
            "tokenizer.json; only --format=safetensors takes it along"
        )
    return from_sentencepiece(loaded.content)


def _write_tokenizer_as_is(folder, loaded: Loaded) -> None:
    kind = "json" if loaded.content.startswith(b"{") else "model"
    (folder / f"tokenizer.{kind}").write_bytes(loaded.content)


def _note(loaded: Loaded, kind: str) -> dict[str, Any]:
    """What brings an export back bit by bit."""
    note = {
        "format": kind,
        "template": loaded.template,
        "model": dataclasses.asdict(loaded.model),
    }
    return {OURS: note}


def _write_json(path: pathlib.Path, content) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _write_lmms_eval(folder, loaded: Loaded) -> str:
    (folder / "hf").mkdir()
    _write_hf(folder / "hf", loaded)
    shutil.copyfile(_CODE / "lmms_model.py", folder / "model.py")
    plugin = folder / "babyvlm_plugin" / "models"
    plugin.mkdir(parents=True)
    (plugin.parent / "__init__.py").write_text("")
    (plugin / "__init__.py").write_text('AVAILABLE_MODELS = {"babyvlm": "BabyVLM"}\n')
    (plugin / "babyvlm.py").write_text("from model import BabyVLM  # noqa: F401\n")
    return "a bundle for lmms-eval: `hf/` for transformers, and its model class"


_WRITERS: dict[str, Callable[[pathlib.Path, Loaded], str]] = {
    "hf": _write_hf,
    "llava": _write_llava,
    "safetensors": _write_safetensors,
    "lmms-eval": _write_lmms_eval,
}
