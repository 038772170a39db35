"""An exported folder loads with transformers alone and answers as we do."""

import dataclasses
import io
import json

import jax
import numpy as np
import pytest
import tokenizers
from PIL import Image

from babyvlm_jax.chat import stream
from babyvlm_jax.data import images
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.engine import detokenize
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.interchange.importing import ImportConfig, import_source
from babyvlm_jax.training import checkpoint, settings
from tests import tiny
from tests.interchange.workdirs import MODELS, flatten, make_workdir, read_params

pytestmark = pytest.mark.torch
NUM_TOKENS = 6
TURNS = [
    ((HUMAN, "<image> where is the ball?"),),
    ((HUMAN, "look at the dog"),),
    ((HUMAN, "which? (A) <image> (B) <image>"), (ASSISTANT, "b"), (HUMAN, "<image>")),
]


@pytest.fixture(autouse=True)
def resized_by_pillow(monkeypatch):
    """As transformers resizes; our fast resizer is within a level of 255 of it."""
    monkeypatch.setattr(images, "cykooz_resizer", None)


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    size = (32, 32, 3) if seed % 2 else (20, 32, 3)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, size).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def records():
    for number, turns in enumerate(TURNS):
        marks = sum(text.count("<image>") for _, text in turns)
        shown = tuple(picture(10 * number + i) for i in range(marks))
        yield Record(f"r{number}", "test", shown, turns)


def our_answers(workdir):
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        model, params, info = checkpoint.load_model(workdir, mesh)
        data = info["config"]["data"]
        reader = Reader(
            model,
            params,
            Tokenizer.load(workdir / "tokenizer.model"),
            data["template"],
            data["tokens_per_image"],
            data["image_size"],
            batch_size=1,
            buckets=(64,),
            mesh=mesh,
        )
        said = [list(stream(reader, [one], NUM_TOKENS)) for one in records()]
        return [detokenize(reader.tokenizer, np.concatenate(ids)) for ids in said]


@pytest.mark.parametrize("name", list(MODELS))
def test_answers_are_ours(tmp_path, name):
    pytest.importorskip("transformers")
    workdir = make_workdir(tmp_path, name)
    folder = tmp_path / "there"
    export(ExportConfig(str(workdir), str(folder)))
    config = json.loads((folder / "config.json").read_text())
    stock = config["architectures"] == ["LlavaForConditionalGeneration"]
    assert stock == (name in ("official", "tied"))
    from tests.interchange.hf_side import Folder  # imports torch

    ours, theirs = our_answers(workdir), Folder(folder)
    # We spell <unk> as sentencepiece does; transformers leaves it out.
    spelt = [answer.replace("\u2047", "").split() for answer in ours]
    said = [theirs.answer(record, NUM_TOKENS).split() for record in records()]
    assert said == spelt
    assert len(set(ours)) > 1


def test_a_padded_batch_gives_the_same_scores(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    export(ExportConfig(str(make_workdir(tmp_path, "nursery")), str(tmp_path / "x")))
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        tmp_path / "x", trust_remote_code=True
    )
    short, long = torch.tensor([[2, 9, 8]]), torch.tensor([[2, 5, 6, 7, 9]])
    padded = torch.cat([torch.nn.functional.pad(short, (2, 0)), long])
    mask = torch.ones_like(padded)
    mask[0, :2] = 0
    both = model(padded, attention_mask=mask).logits
    assert torch.allclose(both[0, 2:], model(short).logits[0], atol=1e-5)
    assert torch.allclose(both[1], model(long).logits[0], atol=1e-5)
    assert (both[..., 100:] < -1e8).all()


@pytest.mark.parametrize("name", ["nursery", "v1", "official"])
def test_generate_uses_its_cache(tmp_path, name):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    export(ExportConfig(str(make_workdir(tmp_path, name)), str(tmp_path / "x")))
    model = transformers.AutoModelForImageTextToText.from_pretrained(
        tmp_path / "x", trust_remote_code=True
    )
    lengths = []

    def look(module, args, given):
        lengths.append(given["input_ids"].shape[1])

    model.register_forward_pre_hook(look, with_kwargs=True)
    ids = torch.randint(5, 90, (2, 40), generator=torch.Generator().manual_seed(0))
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        min_new_tokens=8,
        max_new_tokens=8,
    )
    assert lengths == [40, 1, 1, 1, 1, 1, 1, 1]


def test_what_transformers_wrote_imports(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.models.parity import cases, torch_side

    case = cases.make_case("llava")
    module = torch_side.BUILD["llava"](case.config)
    weights = torch_side.random_weights(module, case)
    state = {name: torch.tensor(leaf) for name, leaf in weights.items()}
    assert not module.load_state_dict(state, strict=False).unexpected_keys
    module.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").exists()
    words = {"<pad>": 0, "<unk>": 1, "<sos>": 2, "<eos>": 3, "ball": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "<unk>"))
    tokenizer.save(str(tmp_path / "theirs" / "tokenizer.json"))
    import_source(ImportConfig(str(tmp_path / "theirs"), str(tmp_path / "out")))
    found, expected = read_params(tmp_path / "out"), cases.params_of(case, weights)
    expected = flatten(expected)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_array_equal(found[path], leaf, path)
    model = settings.model_of(settings.read_config(tmp_path / "out"))
    unchanged = {"remat": "none"}  # not in their config
    assert dataclasses.replace(model.vision, **unchanged) == case.config.vision
    assert dataclasses.replace(model.decoder, **unchanged) == case.config.decoder
    assert model.connector == case.config.connector
