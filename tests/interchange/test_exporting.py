"""What is exported comes back bit by bit, and bad wishes leave nothing behind."""

import json

import numpy as np
import pytest

from babyvlm_jax.convert import main
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.data.words import train_words
from babyvlm_jax.interchange import card
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.interchange.importing import ImportConfig, import_source
from babyvlm_jax.interchange.weights import open_weights
from babyvlm_jax.runtime.errors import UserError
from tests.chosen import some
from tests.interchange.workdirs import (
    MODELS,
    make_params,
    make_tokenizer,
    make_workdir,
    read_params,
)

IN_LLAVA = ("official", "tied", "registers", "v2-gpt2", "v1")
CASES = [(name, "hf") for name in MODELS] + [("nursery", "safetensors")]
CASES += [(name, "llava") for name in IN_LLAVA] + [("nursery", "lmms-eval")]
QUICK = [("nursery", "safetensors"), ("official", "llava"), ("nursery", "lmms-eval")]


def same(found, name, rows=None) -> bool:
    """Whether leaves are those of the model, up to `rows` of the vocabulary."""
    expected = dict(make_params(name))
    if rows:
        for path, leaf in (("decoder/embed", 0), ("decoder/head", 1)):
            if path in expected:
                keep = np.arange(expected[path].shape[leaf]) < rows
                shape = (-1, 1) if leaf == 0 else (1, -1)
                expected[path] = np.where(keep.reshape(shape), expected[path], 0)
    assert found.keys() == expected.keys()
    return all(np.array_equal(found[path], leaf) for path, leaf in expected.items())


@pytest.mark.parametrize(("name", "how"), some(CASES, QUICK))
def test_a_round_trip_is_exact(tmp_path, name, how):
    workdir = make_workdir(tmp_path, name)
    export(ExportConfig(str(workdir), str(tmp_path / "there"), how))
    inside = "there/hf" if how == "lmms-eval" else "there"
    import_source(ImportConfig(str(tmp_path / inside), str(tmp_path / "back")))
    # The original naming has no rows that no token has.
    rows = MODELS[name].decoder.vocab_size if how == "llava" else None
    assert same(read_params(tmp_path / "back"), name, rows)
    here, back = (
        json.loads((folder / "config.json").read_text())
        for folder in (workdir, tmp_path / "back")
    )
    assert back["model"] == here["model"]
    assert back["data"]["template"] == here["data"]["template"]
    assert Tokenizer.load(back["data"]["tokenizer"]).encode("the red ball (A)") == (
        Tokenizer.parse(make_tokenizer(), "").encode("the red ball (A)")
    )


def test_the_folder_of_a_llava_model(tmp_path):
    workdir = make_workdir(tmp_path, "tied")
    export(ExportConfig(str(workdir), str(tmp_path / "there")))
    found = open_weights(tmp_path / "there")
    assert found["language_model.model.embed_tokens.weight"].shape == (129, 32)
    assert found["vision_tower.pooler.dense.weight"].shape == (16, 16)
    read = {
        name: json.loads((tmp_path / "there" / f"{name}.json").read_text())
        for name in ("config", "generation_config", "processor_config")
    }
    assert read["config"]["architectures"] == ["LlavaForConditionalGeneration"]
    assert read["config"]["image_token_index"] == 128
    assert read["generation_config"]["suppress_tokens"] == [128]
    processor = read["processor_config"]
    counts = (processor["patch_size"], processor["num_additional_image_tokens"])
    assert counts == (4, 1)
    assert not list((tmp_path / "there").glob("*.py"))


def test_a_model_of_our_own_brings_its_code(tmp_path):
    workdir = make_workdir(tmp_path, "nursery")
    export(ExportConfig(str(workdir), str(tmp_path / "there")))
    config = json.loads((tmp_path / "there" / "config.json").read_text())
    assert config["architectures"] == ["BabyVLMForConditionalGeneration"]
    assert (tmp_path / "there" / "modeling_babyvlm.py").exists()
    assert config["image_token_id"] == 100
    shapes = {name: leaf.shape for name, leaf in make_params("nursery").items()}
    assert config["parameter_shapes"] == {
        name.replace("/", "."): list(shape) for name, shape in shapes.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "onnx"}, "--format=onnx: expected one of"),
        ({"checkpoint": "nothing"}, "no checkpoint in nothing"),
        ({"format": "llava"}, "vision.stem 'conv' has no counterpart"),
        ({"tokenizer": "nothing.model"}, "no tokenizer nothing.model"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(tmp_path, change, message):
    workdir = make_workdir(tmp_path, "nursery")
    before = sorted(tmp_path.iterdir())
    to = {"checkpoint": str(workdir), "to": str(tmp_path / "there")}
    with pytest.raises(UserError, match=message):
        export(ExportConfig(**{**to, **change}))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.integration
def test_a_word_list_goes_along_with_safetensors_alone(tmp_path):
    workdir = make_workdir(tmp_path, "official")
    words = train_words(["look at the ball"], 1)
    (workdir / "tokenizer.model").write_bytes(words)
    there = tmp_path / "there"
    for how in ("hf", "llava", "lmms-eval"):
        with pytest.raises(UserError, match="only --format=safetensors takes it"):
            export(ExportConfig(str(workdir), str(there), how))
        assert [path.name for path in tmp_path.iterdir()] == ["official"]
    export(ExportConfig(str(workdir), str(there), "safetensors"))
    import_source(ImportConfig(str(there), str(tmp_path / "back")))
    assert same(read_params(tmp_path / "back"), "official")
    assert (tmp_path / "back" / "tokenizer.model").read_bytes() == words


def test_nothing_is_overwritten(tmp_path):
    with pytest.raises(UserError, match="exists; choose another --to"):
        export(ExportConfig("runs", str(tmp_path)))
    with pytest.raises(UserError, match="exists; choose another --out"):
        import_source(ImportConfig("runs", str(tmp_path)))


def test_the_command_says_what_it_did(tmp_path, capsys):
    workdir = make_workdir(tmp_path, "official")
    there, back = str(tmp_path / "there"), str(tmp_path / "back")
    for argv, said in (
        (["export", f"--checkpoint={workdir}", f"--to={there}"], "LlavaForConditional"),
        (["import", f"--from={there}", f"--out={back}"], "an export of this project"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 0
        assert said in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["import", "--from=nothing", f"--out={tmp_path / 'x'}"])
    assert stop.value.code == 78
    assert capsys.readouterr().err.startswith("error: nothing is neither a file nor")


def test_scores_of_an_older_version_are_left_out_of_the_card(tmp_path):
    """Their entries have no corrected p-values, which the table shows."""
    folder = tmp_path / "eval" / "1"
    folder.mkdir(parents=True)
    old = {"score": 0.5, "p_value": 0.01, "title": "Count"}
    found = {"checkpoint": str(tmp_path / "run"), "step": 1, "split": "test"}
    found |= {"overall": {}, "tasks": {"count": old}}
    (folder / "results.json").write_text(json.dumps(found))
    info = {"workdir": str(tmp_path / "run"), "step": 1}
    assert card._scores(info).startswith("No evaluation of this checkpoint")
