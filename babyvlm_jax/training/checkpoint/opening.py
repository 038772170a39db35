"""Opens a checkpoint as a model that answers, with the tokenizer that it knows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from etils import epath
from jax.sharding import Mesh

from babyvlm_jax.data.hf_tokenizer import HfTokenizer
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.data.words import WordTokenizer
from babyvlm_jax.models.config import ContrastiveConfig
from babyvlm_jax.models.contrastive import PairModel, make_pair_model
from babyvlm_jax.models.vlm import Model, make_model
from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.training import objectives, settings
from babyvlm_jax.training.checkpoint import whole
from babyvlm_jax.training.checkpoint.reading import (
    FOLDER,
    abstract_params,
    damage,
    newest_step,
    read_facts,
    restore_params,
)


class LoadedTokenizer(NamedTuple):
    """A tokenizer and its file."""

    tokenizer: Tokenizer | HfTokenizer | WordTokenizer
    path: epath.Path


def load_model(path, mesh: Mesh) -> tuple[Model, Any, dict[str, Any]]:
    """Opens a work directory (or one of its `checkpoints/STEP`) for evaluation.

    Returns:
        model, params, info {workdir, step, config (resolved), fingerprint, tokenizer
        (the fingerprint of the one that it was trained with; empty if not known)}.

    Raises:
        UserError: no config.json or no checkpoint there, it is not whole, a part is
            missing, or its model is a contrastive one.
    """
    if is_contrastive(path):
        raise UserError(
            f"{path} holds a contrastive model, which reads no dialogues and writes "
            "nothing; give a checkpoint of a phase with a decoder"
        )
    return _load(path, mesh)


def load_pair_model(path, mesh: Mesh) -> tuple[PairModel, Any, dict[str, Any]]:
    """`load_model` for a contrastive phase, or an imported CLIP.

    Raises:
        UserError: as `load_model`, or its model is no contrastive one.
    """
    if not is_contrastive(path):
        raise UserError(
            f"{path} holds no contrastive model; give the work directory of a phase "
            "with config.loss 'contrastive', or of an imported CLIP"
        )
    return _load(path, mesh)


def is_contrastive(path) -> bool:
    """Whether a work directory, or the one of a `checkpoints/STEP`, holds towers."""
    workdir = _workdir_of(path)
    if not (workdir / "config.json").exists():
        return False
    return _is_of_pairs(settings.read_config(workdir))


def _is_of_pairs(config) -> bool:
    loss = config.get("loss")
    return loss in objectives.KINDS and objectives.kind_of(loss).IS_OF_PAIRS


def model_in(config: Mapping[str, Any]) -> Model | PairModel:
    """The functions of the model that a config.json describes."""
    model = settings.model_of(config)
    if not _is_of_pairs(config):
        return make_model(model)
    towers = from_dict(ContrastiveConfig, config["contrastive"], "config.contrastive")
    return make_pair_model(model.vision, towers)


def _workdir_of(path) -> epath.Path:
    path = epath.Path(path)
    return path.parent.parent if path.parent.name == FOLDER else path


def _load(path, mesh: Mesh) -> tuple[Any, Any, dict[str, Any]]:
    path = epath.Path(path)
    workdir = _workdir_of(path)
    if path.parent.name == FOLDER:
        step = int(path.name)
        why = processes.on_first(lambda: whole.fault(path)) or damage(path, ("params",))
        if why:
            raise UserError(f"checkpoint {path} is not whole: {why}; give another one")
    else:
        step = newest_step(workdir)
    config = settings.read_config(workdir)
    model = model_in(config)
    abstract = abstract_params(model, mesh)
    params = {
        part: restore_params(workdir, step, part, leaves)
        for part, leaves in abstract.items()
    }
    info = {
        "workdir": str(workdir),
        "step": step,
        "config": config,
        "fingerprint": whole.fingerprint(workdir / FOLDER / str(step)),
        "tokenizer": read_facts(workdir, step).get("tokenizer", ""),
    }
    return model, params, info


def check_tokenizer(part: str, source: str, tokenizer: str) -> None:
    """Whether a part that reads words was trained on the words that it is to read.

    Args:
        part, source: as `check_source`.
        tokenizer: fingerprint, as in facts of `data.identity`.

    Raises:
        UserError: the source's checkpoint says that it was another one.
    """
    if part == "vision":
        return
    workdir, _ = settings.split_source(part, source)
    there = read_facts(workdir, newest_step(workdir, items=())).get("tokenizer", "")
    known, here = _each(there), _each(tokenizer)
    if known and here and known != here:
        raise UserError(
            f"{workdir} was trained with another tokenizer ({there}) than that of "
            f"config.data.tokenizer ({tokenizer}): its words have other numbers; give "
            "the tokenizer that it was trained with, or train it again"
        )


def _each(tokenizers: str) -> set[str]:
    """The fingerprints in a fact; lessons have one each."""
    return set(filter(None, tokenizers.split("; ")))


def load_tokenizer(info: Mapping[str, Any], moved: str = "") -> LoadedTokenizer:
    """The tokenizer that a checkpoint was trained with.

    Args:
        info: of `load_model`.
        moved: the file, if not where the config names it.

    Raises:
        UserError: there is none, or it is another one.
    """
    named = moved or info["config"]["data"]["tokenizer"]
    path = settings.find_beside(info["workdir"], named)
    tokenizer, known = Tokenizer.load(path), _each(info["tokenizer"])
    if known and not known & {tokenizer.fingerprint, tokenizer.first_fingerprint}:
        raise UserError(
            f"{path} is another tokenizer ({tokenizer.fingerprint}) than the one that "
            f"{info['workdir']} was trained with ({', '.join(sorted(known))}): its "
            "words have other numbers; name that one with the option tokenizer"
        )
    return LoadedTokenizer(tokenizer, path)
