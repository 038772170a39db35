"""V1's four tests, from datasets to the report, asked of a tiny model of V1's kind."""

import json

import jax
import pytest

from babyvlm_jax import evaluate, sharding
from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.data.words import train_words
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.models.config import VLMConfig
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.report.__main__ import report
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.training import checkpoint, preflight
from configs import models
from configs.eval import v1
from tests import tiny
from tests.evals import v1_samples

NUM_ITEMS = 4
MAKE = {
    "labeled_s": v1_samples.labeled_s,
    "vtwt": v1_samples.two_word,
    "winoground": v1_samples.winoground,
    "caption": v1_samples.caption,
}
WORDS = ["look at the red ball", "red cup"]  # nobody says "blue"


@pytest.fixture(scope="module")
def model():
    """GPT-2 behind a ResNeXt, random, with its picture's side and tokens."""
    side, tokens, small = models.tiny(models.MODELS["v1"])
    small["decoder"]["vocab_size"] = 16
    made = make_model(from_dict(VLMConfig, small))
    with jax.set_mesh(tiny.mesh_of()):
        return side, tokens, made, jax.jit(made.init)(jax.random.key(0))


@pytest.fixture
def config(model, tmp_path, monkeypatch):
    side, tokens, made, params = model
    for name, make in MAKE.items():
        items = {"test": [make(k) for k in range(NUM_ITEMS)]}
        write_dataset(tmp_path / "shards", f"v1_{name}", items, "tests")
    (tmp_path / "words.txt").write_bytes(train_words(WORDS, min_count=1))
    (tmp_path / "joint").mkdir()
    data = {"template": "plain", "tokens_per_image": tokens, "image_size": side}
    data["tokenizer"] = str(tmp_path / "words.txt")
    info = {"step": 9, "workdir": str(tmp_path), "tokenizer": ""}
    info["config"] = {"seed": 3, "data": data}

    def load_model(path, mesh):
        return made, params, info

    monkeypatch.setattr(checkpoint, "load_model", load_model)
    monkeypatch.setattr(preflight, "check_checkpoint", lambda *args: None)
    mesh = tiny.mesh_of()
    monkeypatch.setattr(sharding, "make_mesh", lambda sizes: mesh)
    c = v1.get_config()
    c.checkpoint, c.shards = str(tmp_path / "joint"), str(tmp_path / "shards")
    c.batch_size = 8
    return c


@pytest.mark.integration
def test_the_four_end_to_end(config, tmp_path):
    cfg = EvalConfig(**config.to_dict())
    (content,) = evaluate.evaluate(cfg, str(tmp_path))
    tasks = content.tasks
    assert list(tasks) == list(MAKE)
    assert {name: task.protocol for name, task in tasks.items()} == {
        **dict.fromkeys(("labeled_s", "vtwt", "winoground"), "match"),
        "caption": "generate",
    }
    assert tasks["winoground"].chance == pytest.approx(1 / 6)
    controls = {row.control for row in tasks["vtwt"].rows}
    assert controls == {"", "no_image", "constant"}
    (blind,) = (r for r in tasks["winoground"].rows if r.control == "no_image")
    assert blind.metrics["image"].value == 0
    assert blind.metrics["group"].value == 0
    assert tasks["caption"].chance > 0.9  # all references are the same
    assert content.overall[""]["ours"]["tasks"] == 3
    assert content.overall[""]["ours"]["missing"] == []
    board = json.loads((tmp_path / "eval/9/leaderboard.json").read_text())
    metrics = tasks["winoground"].metrics
    scores = {
        f"{name}_score": metrics[name].value for name in ("image", "text", "group")
    }
    assert board == {"results": {"baby_winoground": scores}}

    lines = (tmp_path / "eval/9/predictions.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    plain = [one for one in said if not one["control"]]
    assert len(plain) == 4 * NUM_ITEMS
    wrote = [one["output"] for one in plain if one["task"] == "caption"]
    assert len(wrote) == NUM_ITEMS
    assert all(len(text.split()) <= 25 for text in wrote)
    (two,) = (o for o in plain if o["id"] == "two0")
    assert sum(two["likelihoods"].values()) == pytest.approx(1, abs=1e-4)

    out = tmp_path / "report.html"
    report(tmp_path, tmp_path / "shards", out, show=False, published=True)
    page = out.read_text()
    assert "Baby Winoground" in page
    assert "BabyLLaVA-GPT2" in page
    assert "BabyVLM-V2" not in page
