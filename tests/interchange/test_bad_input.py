"""Each kind of bad input, through the command: one line, exit 78, nothing written."""

import contextlib
import functools
import itertools
import json
import random
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from babyvlm_jax.convert import main
from babyvlm_jax.data.words import train_words
from babyvlm_jax.interchange import sources
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.interchange.fill import check, check_sizes, our_shapes
from babyvlm_jax.interchange.sources import find
from babyvlm_jax.interchange.weights import open_weights
from babyvlm_jax.models.config import PARTS
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from tests.chosen import some
from tests.data_prep.hostile import mutations
from tests.interchange.workdirs import MODELS, make_workdir

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A folder in the original naming and one for transformers, of the same model."""
    made = tmp_path_factory.mktemp("good")
    workdir = make_workdir(made, "official")
    for how in ("llava", "hf"):
        export(ExportConfig(str(workdir), str(made / how), how))
        shutil.copytree(made / how, made / "ours", dirs_exist_ok=True)
        path = made / how / "config.json"
        config = json.loads(path.read_text())
        del config["babyvlm"]  # so that nothing tells that the folder is ours
        path.write_text(json.dumps(config))
    return made


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_own(folder, part, **changes):
    config = json.loads((folder / "config.json").read_text())
    config["babyvlm"]["model"][part] |= changes
    (folder / "config.json").write_text(json.dumps(config))


def change_weight(folder, name, make):
    weights = load_file(folder / WEIGHTS)
    weights[name] = make(weights[name])
    save_file(weights, folder / WEIGHTS)


def split(folder, keep):
    """Makes two shards and their index, and leaves `keep` of them there."""
    weights = list(load_file(folder / WEIGHTS).items())
    (folder / WEIGHTS).unlink()
    index = {}
    for number in (1, 2):
        name = f"model-{number:05d}-of-00002.safetensors"
        part = dict(weights[number - 1 :: 2])
        index |= dict.fromkeys(part, name)
        if number <= keep:
            save_file(part, folder / name)
    content = json.dumps({"weight_map": index})
    (folder / "model.safetensors.index.json").write_text(content)


@functools.cache
def our_shapes_of():
    return our_shapes(make_model(MODELS["official"]), PARTS)


def cut(folder):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def other_tokenizer(folder):
    words = [f"w{i}" for i in range(200)]
    (folder / "tokenizer.model").write_bytes(train_words(words, 1))


BAD = {
    "a wrong shape": (
        lambda f: change_weight(f, "model.norm.weight", lambda a: a[:-1]),
        "'model.norm.weight' has shape [31], expected [32]",
    ),
    "a wrong type": (
        lambda f: change_weight(f, "model.norm.weight", lambda a: a.astype(np.int32)),
        "'model.norm.weight' has the type I32, expected one of F64, F32",
    ),
    "a missing shard": (
        lambda f: split(f, keep=1),
        "1 of 2 shards that its index names are missing, the first 'model-00002-of-0",
    ),
    "a truncated file": (cut, "model.safetensors is not a whole safetensors file"),
    "an unknown decoder": (
        lambda f: change_config(f, hidden_act="relu"),
        "this decoder's hidden_act is not known here",
    ),
    "another tokenizer": (
        other_tokenizer,
        "ids, but the model's embedding has 100; it is another model's tokenizer",
    ),
    "a config that is no JSON": (
        lambda f: (f / "config.json").write_text("{"),
        "config.json: not a JSON file",
    ),
}
BAD_HF = {
    "an unknown architecture": (
        lambda f: change_config(f, model_type="qwen3_vl", architectures=["Qwen3VL"]),
        "the architecture ['Qwen3VL'] of model type 'qwen3_vl' is not known here",
    ),
    "an unknown tower": (
        lambda f: change_config(f, vision_config={"model_type": "clip_vision_model"}),
        "vision_config.model_type is 'clip_vision_model', but this architecture is",
    ),
}
BAD_OURS = {
    "a null for our config": (
        lambda f: change_config(f, babyvlm=None),
        "config.json: babyvlm is null",
    ),
    "more layers than weights": (
        lambda f: change_own(f, "decoder", num_layers=10**9),
        "num_layers is 1000000000, but its",
    ),
    "a width beyond all weights": (
        lambda f: change_own(f, "vision", width=2**30, num_heads=1),
        "width is 1073741824, but its",
    ),
    "a model that is none": (
        lambda f: change_own(f, "decoder", vocab_size="many"),
        "config.json: babyvlm.model",
    ),
}
BAD_JSON = {
    "config_list": ("config.json", "[]", "config.json: holds []"),
    "config_deep": ("config.json", "[" * 9999 + "]" * 9999, "config.json: not a JSON"),
    "config_own_null": ("config.json", '{"babyvlm": null}', "config.json: babyvlm"),
    "config_llava_strings": (
        "config.json",
        '{"model_type": "llava", "text_config": "x", "vision_config": 5}',
        "config.json: text_config is 'x'",
    ),
    "index_list": (
        "model.safetensors.index.json",
        '{"weight_map": ["a"]}',
        "index.json: weight_map is ['a']",
    ),
    "index_number": (
        "model.safetensors.index.json",
        '{"weight_map": {"w": 5}}',
        "index.json: weight_map.w is 5",
    ),
    "index_above": (
        "model.safetensors.index.json",
        '{"weight_map": {"w": "../model.safetensors"}}',
        "index.json: weight_map names '../model.safetensors'",
    ),
    "index_absolute": (
        "model.safetensors.index.json",
        '{"weight_map": {"w": "/etc/model.safetensors"}}',
        "index.json: weight_map names '/etc/model.safetensors'",
    ),
}
CASES = [("llava", *case) for case in BAD.values()]
CASES += [("hf", *case) for case in BAD_HF.values()]
CASES += [("ours", *case) for case in BAD_OURS.values()]


@pytest.mark.parametrize(
    ("kind", "spoil", "message"), CASES, ids=[*BAD, *BAD_HF, *BAD_OURS]
)
def test_one_line_and_nothing_written(exports, tmp_path, capsys, kind, spoil, message):
    folder = tmp_path / "there"
    shutil.copytree(exports / kind, folder)
    spoil(folder)
    with pytest.raises(SystemExit) as stop:
        main(["import", f"--from={folder}", f"--out={tmp_path / 'out'}"])
    assert stop.value.code == 78
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(f"error: {folder}")
    assert message in told.err
    assert told.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    "file, content, message", BAD_JSON.values(), ids=list(BAD_JSON)
)
def test_json_files_that_hold_something_else(tmp_path, capsys, file, content, message):
    folder = tmp_path / "there"
    folder.mkdir()
    save_file({"w": np.zeros(4, np.float32)}, folder / WEIGHTS)
    (folder / file).write_text(content)
    with pytest.raises(SystemExit) as stop:
        main(["import", f"--from={folder}", f"--out={tmp_path / 'out'}"])
    told = capsys.readouterr().err
    assert stop.value.code == 78 and told.startswith(f"error: {folder}")
    assert message in told and told.count("\n") == 1


def recognised(folder) -> bool:
    """Whether a folder is recognised; refused, it is named in one line."""
    try:
        source = find(folder, "float32")
        configs = [getattr(source.model, part) for part in source.parts]
        check_sizes(str(folder), configs, source.leaves)
    except UserError as error:
        assert str(folder) in str(error) and "\n" not in str(error)
        return False
    return True


@pytest.mark.parametrize("kind", some(["llava", "hf", "ours"], ("hf",)))
def test_a_config_with_a_bad_value_is_recognised_or_refused(
    exports, tmp_path, monkeypatch, kind
):
    leaves = open_weights(exports / kind)
    monkeypatch.setattr(sources, "open_weights", lambda path: dict(leaves))
    folder = tmp_path / "there"
    shutil.copytree(exports / kind, folder)
    path = folder / "config.json"
    sound = json.loads(path.read_text())
    outcomes = []
    for content in itertools.islice(mutations(sound), 0, None, 23):
        path.write_bytes(content)
        outcomes.append(recognised(folder))
    assert 0.05 < sum(outcomes) / len(outcomes) < 0.95


def test_an_index_with_a_bad_value_is_recognised_or_refused(exports, tmp_path):
    folder = tmp_path / "there"
    shutil.copytree(exports / "llava", folder)
    split(folder, keep=2)
    assert recognised(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    few = {"metadata": {"total_size": 9}, "weight_map": index["weight_map"]}
    for content in itertools.islice(mutations(few), 0, None, 8):
        path.write_bytes(content)
        recognised(folder)


def test_a_damaged_safetensors_file_is_read_or_refused(exports, tmp_path):
    """Bytes of the header changed, and headers with changed facts about a leaf."""
    folder = tmp_path / "there"
    shutil.copytree(exports / "llava", folder)
    path = folder / WEIGHTS
    sound = path.read_bytes()
    size = 8 + int.from_bytes(sound[:8], "little")
    header, body = json.loads(sound[8:size]), sound[size:]
    name = "model.norm.weight"
    rng = random.Random(0)
    damaged = []
    for _ in range(150):
        data = bytearray(sound)
        for _ in range(rng.choice((1, 1, 5))):
            data[rng.randrange(size)] = rng.randrange(256)
        damaged.append(bytes(data[: rng.choice((len(data), rng.randrange(len(data))))]))
    leaf = header[name]
    for changed in mutations(leaf):
        text = json.dumps(header).encode()
        text = text.replace(json.dumps(leaf).encode(), changed)
        damaged.append(len(text).to_bytes(8, "little") + text + body)
    for shape in ([0], [2**40], [2**63], [], [1] * 60, [4, 8]):
        text = json.dumps(header | {name: leaf | {"shape": shape}}).encode()
        damaged.append(len(text).to_bytes(8, "little") + text + body)
    for data in damaged:
        path.write_bytes(data)
        if recognised(folder):
            source = find(folder, "float32")
            with contextlib.suppress(UserError):
                check(str(folder), source.tables, our_shapes_of(), source.leaves)
