"""A contrastive phase from flags to done.json, its validations and their account."""

import dataclasses
import json
import os
import signal

import jax
import numpy as np
import pytest

from babyvlm_jax import evaluate, train
from babyvlm_jax.data.images import preprocess
from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.embedding import load_pair_model
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.runtime import telemetry
from babyvlm_jax.runtime.errors import UserError, run_main
from babyvlm_jax.training import checkpoint
from configs.eval import devcv
from tests import test_train, tiny_pairs, tiny_run
from tests.evals.samples import ITEMS

pytestmark = pytest.mark.usefixtures("own_signals", "steps_compile_once")

NUM_STEPS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tiny_run.make_world(tmp_path_factory.mktemp("world"))


def told(workdir):
    """metrics.jsonl without what the clock says."""
    lines = test_train.told(workdir)
    return [{k: v for k, v in x.items() if "validation_wait" not in k} for x in lines]


def config(world, **validation):
    c = tiny_pairs.config(world, num_steps=NUM_STEPS)
    c.validation.update(validation)
    return c


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    """Work directory of a run that nothing disturbed, its rate lowered on the way."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    train.main(config(world, patience=0, threshold=0.5), str(workdir))
    return workdir


def leaves(workdir, step):
    found = test_train.everything(workdir, step)
    flat, _ = jax.tree_util.tree_flatten_with_path((found["params"], found["train"]))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}


def test_a_run_tells_its_validations_and_lowers_the_rate(undisturbed):
    lines = told(undisturbed)
    assert [line["step"] for line in lines] == list(range(1, NUM_STEPS + 1))
    seen = {line["step"]: line["val/loss"] for line in lines if "val/loss" in line}
    assert list(seen) == [2, 4, 6]
    assert lines[-1]["train/loss"] < lines[0]["train/loss"]
    scales = [round(line["train/rate_scale"], 6) for line in lines]
    # halving the loss is what counts as improvement here, so validations 2.. are bad
    assert scales[:4] == [1, 1, 1, 1]
    assert scales[4] == pytest.approx(0.1)
    done = json.loads((undisturbed / "done.json").read_text())
    best = min(seen, key=seen.get)
    assert (done["step"], done["best_step"]) == (NUM_STEPS, best)
    assert done["best_loss"] == pytest.approx(seen[best])
    assert done["stopped_early"] is False


@pytest.mark.slow
def test_sigterm_between_validations_and_the_resumed_run_is_the_same(
    world, undisturbed, tmp_path, monkeypatch
):
    c = config(world, patience=0, threshold=0.5)
    ticks, tick = [], telemetry.Writer.tick

    def counted(writer):
        tick(writer)
        ticks.append(None)
        if len(ticks) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(telemetry.Writer, "tick", counted)
    with pytest.raises(SystemExit) as stop:
        run_main(lambda: train.main(c, str(tmp_path)))
    assert stop.value.code == 75
    assert checkpoint.newest_step(tmp_path) == 3
    train.main(c, str(tmp_path))
    assert told(tmp_path) == told(undisturbed)
    found, wanted = leaves(tmp_path, NUM_STEPS), leaves(undisturbed, NUM_STEPS)
    assert found.keys() == wanted.keys()
    assert any("best" in name for name in wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.slow
def test_a_run_that_gets_no_better_stops_with_its_best_parameters(world, tmp_path):
    # a rate that only makes things worse after the first steps
    c = config(world, every=1, stop_patience=2)
    c.optim.lr_peak = 5.0
    c.optim.schedule = "constant"
    c.num_steps = 40
    c.save_every = 1
    train.main(c, str(tmp_path))
    done = json.loads((tmp_path / "done.json").read_text())
    assert done["stopped_early"]
    assert done["step"] == done["best_step"] + 2 < 40
    lines = told(tmp_path)
    assert lines[-1]["step"] == done["step"]
    losses = [line["val/loss"] for line in lines]
    assert min(losses) == pytest.approx(done["best_loss"])
    last = leaves(tmp_path, done["step"])
    for name in (n for n in last if n.startswith("[1]['extra']['best']")):
        path = name.removeprefix("[1]['extra']['best']")[2:-2]
        place = "[0]" + "".join(f"['{part}']" for part in path.split("/"))
        np.testing.assert_array_equal(last[name], last[place], err_msg=name)
    before = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "done.json").unlink()  # as if killed just before it was written
    train.main(c, str(tmp_path))
    assert json.loads((tmp_path / "done.json").read_text())["stopped_early"]
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_the_checkpoint_serves_pictures_and_texts(undisturbed):
    model = load_pair_model(undisturbed, batch_size=8)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    x, y = model.image_embeddings(images), model.text_embeddings(["red ball"] * 5)
    assert x.shape == y.shape == (5, tiny_pairs.EMBED)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)
    cosines = model.cosines(images, ["red ball"] * 5)
    np.testing.assert_allclose(cosines, (x * y).sum(1), atol=1e-6)


@pytest.mark.slow
def test_the_checkpoint_answers_picture_vocabulary(undisturbed, tmp_path):
    item = ITEMS["picture_vocabulary"]
    items = [dataclasses.replace(item, id=f"v{i}") for i in range(3)]
    write_dataset(tmp_path, "devcv_picture_vocabulary", {"test": items}, "tests")
    c = devcv.get_config()
    c.checkpoint, c.shards = str(undisturbed), str(tmp_path)
    c.tasks, c.protocols, c.batch_size = ("picture_vocabulary",), ("match",), 8
    (content,) = evaluate.evaluate(EvalConfig(**c.to_dict()), str(tmp_path / "out"))
    entry = content.tasks["picture_vocabulary"]
    assert (content.step, entry.n, entry.protocol) == (NUM_STEPS, 3, "match")
    lines = (tmp_path / "out" / "eval").glob("*/predictions.jsonl")
    said = [json.loads(line) for line in next(lines).open()]
    shares = [one["likelihoods"] for one in said if one["protocol"] == "match"]
    model = load_pair_model(undisturbed, batch_size=8)
    pictures = np.stack([preprocess(image, 8) for image in item.images])
    cosines = model.image_embeddings(pictures) @ model.text_embeddings(["ball"])[0]
    best = "ABCD"[int(np.argmax(cosines))]
    assert all(max(one, key=one.get) == best for one in shares)
    c.protocols = ("choice",)
    with pytest.raises(UserError, match="'match'"):
        evaluate.evaluate(EvalConfig(**c.to_dict()), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulate": 2}, "config.accumulate is 2: each pair"),
        ({"parts": ("vision",)}, "config.parts is"),
        ({"warm_start": {"decoder": "x"}}, r"names \['decoder'\]"),
    ],
)
def test_settings_that_cannot_be(world, tmp_path, change, message):
    c = config(world)
    with c.unlocked():
        c.update(change)
    with pytest.raises(UserError, match=message):
        train.main(c, str(tmp_path))


def test_a_tokenizer_with_more_ids_than_rows(world, tmp_path):
    c = config(world)
    c.contrastive.text.vocab_size = 10
    with pytest.raises(UserError, match=r"config\.contrastive\.text\.vocab_size is 10"):
        train.main(c, str(tmp_path))
