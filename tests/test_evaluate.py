import json
import subprocess
import sys

import jax
import pytest

from babyvlm_jax import evaluate
from babyvlm_jax.data.schema import Record, write_dataset
from babyvlm_jax.errors import UserError
from babyvlm_jax.evals import store
from configs.eval import devcv
from tests.evals.fakes import MODEL, WordTokenizer, picture

NUM_ITEMS = 6


def items(task, question, answers):
    return [
        Record(
            id=f"{task}{i}",
            source=f"eval/{task}",
            images=(picture(i),) * question.count("<image>"),
            turns=(("human", question), ("assistant", answers[i % len(answers)])),
        )
        for i in range(NUM_ITEMS)
    ]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Settings of a run on two small tasks with the fake model."""
    tasks = {
        "leftright": items("leftright", "<image> (A) <image> (B) <image>", "AB"),
        "count": items("count", "<image> How many of cup do you see?", "123"),
    }
    shards = tmp_path / "shards"
    for name, records in tasks.items():
        write_dataset(shards, f"devcv_{name}", {"test": records}, "test items")
    (shards / "devcv_summary.json").write_text('{"synthetic": true}')
    (tmp_path / "instruct").mkdir()
    data = {"template": "baby_v1", "tokens_per_image": 1, "image_size": 8}
    trained = {"seed": 7, "data": {**data, "tokenizer": "words.model"}}

    def load_model(path, mesh):
        assert path == str(tmp_path / "instruct")
        assert mesh.shape["data"] == 2
        info = {"step": 12, "config": trained, "workdir": str(tmp_path)}
        return MODEL, {"shift": jax.numpy.int32(0)}, info

    monkeypatch.setattr(evaluate.checkpoint, "load_model", load_model)
    monkeypatch.setattr(evaluate.Tokenizer, "load", lambda path: WordTokenizer())
    config = devcv.get_config()
    config.checkpoint = str(tmp_path / "instruct")
    config.shards = str(shards)
    config.tasks = ("leftright", "count")
    config.batch_size = 8
    config.mesh = {"data": 2, "fsdp": 4, "tensor": 1}
    return config


def evaluate_in(workdir, config, **changes):
    cfg = store.EvalConfig(**{**config.to_dict(), **changes})
    return evaluate.evaluate(cfg, str(workdir))


def test_whole_evaluation(run, tmp_path, capsys):
    content = evaluate_in(tmp_path, run)
    folder = tmp_path / "eval" / "12"
    assert json.loads((folder / "results.json").read_text()) == content
    assert (content["step"], content["seed"], content["synthetic"]) == (12, 7, True)
    assert list(content["tasks"]) == ["leftright", "count"]
    assert content["tasks"]["count"]["n"] == NUM_ITEMS
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["id"] for line in found] == [
        *(f"count{i}" for i in range(NUM_ITEMS)),
        *(f"leftright{i}" for i in range(NUM_ITEMS)),
    ]
    board = json.loads((folder / "leaderboard.json").read_text())
    assert set(board["results"]) == {"baby_count", "baby_leftright"}
    assert not (folder / ".partial").exists()

    capsys.readouterr()
    assert evaluate_in(tmp_path, run) == content  # it does not load the model again
    assert capsys.readouterr().out == f"evaluation is whole: {folder}/results.json\n"


def test_stopped_evaluation_goes_on(run, tmp_path, monkeypatch):
    undisturbed = evaluate_in(tmp_path / "other", run)
    asked = []
    real = evaluate.mechanisms.run_task

    def watched(task, *args):
        asked.append(task.name)
        if asked == ["leftright", "count"]:
            raise KeyboardInterrupt
        return real(task, *args)

    monkeypatch.setattr(evaluate.mechanisms, "run_task", watched)
    with pytest.raises(KeyboardInterrupt):
        evaluate_in(tmp_path, run)
    assert not (tmp_path / "eval" / "12" / "results.json").exists()
    content = evaluate_in(tmp_path, run)
    assert asked == ["leftright", "count", "count"]
    assert content["tasks"] == undisturbed["tasks"]


def test_batch_size_and_mesh_change_nothing(run, tmp_path):
    tasks = evaluate_in(tmp_path / "a", run)["tasks"]
    mesh = {"data": 2, "fsdp": 1, "tensor": 4}
    assert evaluate_in(tmp_path / "b", run, batch_size=2, mesh=mesh)["tasks"] == tasks


def test_controls_have_their_own_folder(run, tmp_path):
    evaluate_in(tmp_path, run, blank_images=True, mechanism="choice", limit=2)
    content = json.loads(
        (tmp_path / "eval" / "12-choice-blank-first2" / "results.json").read_text()
    )
    assert content["tasks"]["count"]["n"] == 2
    assert content["tasks"]["count"]["mechanism"] == "choice"


def test_batch_must_divide_over_the_mesh(run, tmp_path):
    with pytest.raises(UserError, match="data x fsdp = 8"):
        evaluate_in(tmp_path, run, batch_size=12)


def test_missing_dataset_is_named(run, tmp_path):
    with pytest.raises(UserError, match="devcv_memory"):
        evaluate_in(tmp_path, run, tasks=("memory",))


def test_command_refuses_a_missing_checkpoint(tmp_path):
    command = [sys.executable, "-m", "babyvlm_jax.evaluate", f"--workdir={tmp_path}"]
    command += ["--config=configs/eval/devcv.py:smoke"]
    command += [f"--config.checkpoint={tmp_path}/none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stderr.startswith("error: config.checkpoint=")
    assert "Traceback" not in done.stderr
