"""Released sets from their files to results: imported, asked both ways, scored.

By the fake model, which compiles fast; under `slow` by a tiny one with weights.
"""

import json

import jax
import pytest

from babyvlm_jax import evaluate
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.tasks import DEVCV, select_tasks
from babyvlm_jax.training import agreement, checkpoint
from configs.eval import devcv
from data_prep.devcv.__main__ import main
from tests.data_prep.devcv.released_fixture import (
    Writer,
    memory_item,
    turn,
    write_released,
)
from tests.evals.fakes import MODEL, WordTokenizer
from tests.interchange.workdirs import make_workdir

TASKS = select_tasks([DEVCV])
# What other sources have besides: id, prompt, answer, number of pictures.
OTHERS = {
    "subitize": [("sub", "<image> How many of cup do you see?", "3", 1)],
    "lwl": [("lwl", "Touch the image of 'cup' (A)<image> (B)<image>", "B", 2)],
    "compare_real": [
        ("letters", "Which image has more people? (A) <image> (B) <image>", "B", 2),
        ("numbers", "Which has more cups? (1) <image> (2) <image>", "2", 2),
    ],
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Every folder of the released layout, and what the others have, as imported."""
    folder = tmp_path_factory.mktemp("released")
    root = write_released(folder / "set")
    for task, items in OTHERS.items():
        writer = Writer(root / task, task)
        for number, (name, human, gpt, size) in enumerate(items):
            seeds = [5000 + 10 * number + k for k in range(size)]
            writer.add(name, turn(human, gpt), seeds)
        writer.save()
    writer = Writer(root / "memory", "memory")
    for base in (5, 10):
        turns, seeds, labels = memory_item(base)
        extra = {"labels": labels} if base == 10 else {}
        writer.add(f"memory_{3 * base}", turns, seeds, **extra)
    writer.save()
    flags = [f"--from={root}", f"--out={folder / 'shards'}", "--source=ego4d"]
    with pytest.raises(SystemExit) as stop:
        main(["import", "--workers=1", "--strict", *flags])
    assert not stop.value.code
    return folder / "shards"


def fake_checkpoint(patch, model=MODEL):
    """Whatever checkpoint is asked for is the fake model."""
    patch.setattr(
        checkpoint,
        "load_model",
        lambda path, mesh: (model, *load_fake(path, mesh)[1:]),
    )
    patch.setattr(agreement, "check_reader", lambda *args: None)
    patch.setattr(checkpoint, "is_contrastive", lambda path: False)
    patch.setattr(checkpoint, "load_tokenizer", lambda *args: (WordTokenizer(), ""))


def load_fake(path, mesh):
    data = {"template": "baby_v1", "tokens_per_image": 1, "image_size": 8}
    config = {"seed": 0, "data": {**data, "tokenizer": "words.model"}}
    info = {"step": 3, "config": config, "workdir": path}
    return MODEL, {"shift": jax.numpy.int32(0)}, info


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("fake", marks=pytest.mark.integration),
        pytest.param("nursery", marks=pytest.mark.slow),
    ],
)
def evaluated(request, shards, tmp_path_factory):
    """The folder of an evaluation of all tasks in both ways."""
    workdir = tmp_path_factory.mktemp("evaluated")
    config = devcv.get_config()
    config.checkpoint = str(make_workdir(workdir, "nursery"))
    config.shards = f"ego4d={shards}"
    config.batch_size, config.max_new_tokens = 8, 4
    config.buckets = (384,)
    config.mesh = {"data": 2, "fsdp": 1, "tensor": 1}
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "fake":
            fake_checkpoint(patch)
        evaluate.evaluate(EvalConfig(**config.to_dict()), str(workdir))
    return workdir / "eval" / "3"


def test_every_item_is_scored_in_both_ways(shards, evaluated):
    content = json.loads((evaluated / "results.json").read_text())
    assert content["problems"] == []
    assert set(content["tasks"]) == {f"ego4d/{task.name}" for task in TASKS}
    assert content["overall"]["ego4d"]["ours"]["tasks"] == 10
    lines = [json.loads(x) for x in (evaluated / "predictions.jsonl").open()]
    for task in TASKS:
        entry = content["tasks"][f"ego4d/{task.name}"]
        ids = {r.id for r in RecordSource(shards, f"devcv_ego4d_{task.name}", "test")}
        assert entry["n"] == len(ids) > 0
        asked = {(r["protocol"], r["parser"]) for r in entry["rows"] if r["protocol"]}
        assert asked == {
            ("generate", "strict"),
            ("generate", "official"),
            ("choice", "strict"),
        }
        for row in entry["rows"]:
            assert set(row["metrics"]) == set(task.metrics)
        for protocol in ("generate", "choice"):
            told = {
                line["id"]
                for line in lines
                if (line["task"], line["protocol"]) == (task.name, protocol)
            }
            assert told == ids
    board = json.loads((evaluated / "leaderboard-ego4d.json").read_text())["results"]
    assert len(board) == 10
    assert set(board["baby_memory"]) == {
        "acc_learning",
        "acc_testing_raw",
        "acc_testing_adjusted",
    }


def test_choices_are_those_of_the_prompts(evaluated):
    lines = [json.loads(x) for x in (evaluated / "predictions.jsonl").open()]
    chosen = {one["id"]: one for one in lines if one["protocol"] == "choice"}
    assert set(chosen["numbers"]["likelihoods"]) == {"1", "2"}
    assert set(chosen["spatialdetails_4"]["likelihoods"]) == set("ABCD")
    assert len(chosen["sub"]["likelihoods"]) == 4
    for name, number in (("memory_15", 15), ("memory_30", 30)):
        rounds = chosen[name]["rounds"]
        assert len(rounds) == number
        assert [len(one["likelihoods"]) for one in rounds] == [1] + [2] * (number - 1)
    # equal files are one thing, so the second has its labels from them
    pixels = {one["id"]: one for one in lines if one["control"] == "pixels"}
    assert pixels["memory_15"]["metrics"] == pixels["memory_30"]["metrics"]
    assert pixels["memory_15"]["metrics"]["adjusted"] == 1.0
