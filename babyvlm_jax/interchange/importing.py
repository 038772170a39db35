"""Writes a recognised source as a work directory that every command opens."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from babyvlm_jax.data.conversation import check_template
from babyvlm_jax.data.hf_tokenizer import HfTokenizer, without_image_token
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.interchange.fill import check, check_sizes, fill, our_shapes
from babyvlm_jax.interchange.sources import Source, find
from babyvlm_jax.models.config import PARTS
from babyvlm_jax.models.contrastive import make_pair_model
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint

TOKENIZERS = ("tokenizer.model", "tokenizer.json")
STEP = 0  # of the checkpoint: no step of ours made it


@dataclasses.dataclass(frozen=True)
class ImportConfig:
    """What to import.

    Attributes:
        source: folder or file of torch weights.
        out: work directory to write; must not exist.
        tokenizer: file, where the source's own is not to be used.
        template: how the model is talked to; "" takes what suits the source.
        dtype: of the computation; weights are stored as f32 whatever it is.
    """

    source: str
    out: str
    tokenizer: str = ""
    template: str = ""
    dtype: str = "float32"


def import_source(cfg: ImportConfig) -> str:
    """Imports weights and tokenizer; all of it, or nothing is written.

    Returns:
        A line on what was imported, and one on what was left out.

    Raises:
        UserError: see `sources.find` and `fill.check`; the tokenizer is missing or
            has more ids than the model; `out` exists.
    """
    out, path = pathlib.Path(cfg.out), pathlib.Path(cfg.source)
    if out.exists():
        raise UserError(f"{out} exists; choose another --out, or delete it")
    source = find(path, cfg.dtype)
    template = cfg.template or source.template
    check_template(template)
    pair, vision = source.pair, source.model.vision
    configs = [getattr(source.model, part) for part in source.parts if part in PARTS]
    check_sizes(str(path), [*configs, *([pair.text] if pair else [])], source.leaves)
    model = make_pair_model(vision, pair) if pair else make_model(source.model)
    shapes = our_shapes(model, source.parts)
    unused = check(str(path), source.tables, shapes, source.leaves)
    tokenizer = _tokenizer(cfg, path, source)
    with appearing(out) as folder:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            tables, leaves = source.tables, source.leaves
            params = fill(tables, shapes, leaves, pathlib.Path(scratch))
            facts = {"tokenizer": tokenizer.fingerprint} if tokenizer else {}
            checkpoint.save_params(folder, STEP, params, facts)
            del params
        if tokenizer:
            (folder / tokenizer.name).write_bytes(tokenizer.content)
        config = {
            "name": "import",
            "seed": 0,
            "parts": source.parts,
            "model": dataclasses.asdict(source.model),
            "data": {
                "template": template,
                "tokenizer": str(out / tokenizer.name) if tokenizer else "",
                "tokens_per_image": source.model.tokens_per_image,
                "image_size": source.model.vision.image_size,
            },
            "imported": {"kind": source.kind, "unused": unused},
        }
        if pair:
            config |= {"loss": "contrastive", "contrastive": dataclasses.asdict(pair)}
            config["data"]["seq_len"] = pair.text.max_len
        (folder / "config.json").write_text(json.dumps(config, indent=2))
    lines = f"{out}: {source.kind}, {len(source.leaves) - len(unused)} weights"
    return f"{lines}\nleft out: {', '.join(unused)}" if unused else lines


class _Tokenizer(NamedTuple):
    """The file that is written beside the weights."""

    name: str
    content: bytes
    fingerprint: str


def _tokenizer(cfg, path, source: Source) -> _Tokenizer | None:
    """The tokenizer, which is known to fit."""
    if source.parts != PARTS and not source.pair:
        return None
    chosen = [pathlib.Path(cfg.tokenizer)] if cfg.tokenizer else []
    chosen = chosen or [path / name for name in TOKENIZERS if (path / name).exists()]
    if not chosen:
        raise UserError(
            f"{path} has no {' or '.join(TOKENIZERS)}; name one with --tokenizer=FILE"
        )
    tokenizer = Tokenizer.load(chosen[0])
    content = chosen[0].read_bytes()
    if isinstance(tokenizer, HfTokenizer):
        content = without_image_token(content)
        tokenizer = Tokenizer.parse(content, str(chosen[0]))
    reads = source.pair.text if source.pair else source.model.decoder
    known = reads.vocab_size
    if tokenizer.vocab_size > known:
        raise UserError(
            f"{chosen[0]} has {tokenizer.vocab_size} ids, but the model's embedding "
            f"has {known}; it is another model's tokenizer"
        )
    return _Tokenizer(f"tokenizer{chosen[0].suffix}", content, tokenizer.fingerprint)


@contextlib.contextmanager
def appearing(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside `out` that takes its name when all is well, or goes away."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    folder.mkdir()
    try:
        yield folder
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
