import json

import jax
import pytest

from babyvlm_jax import evaluate
from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.engine import CheckpointPredictor
from babyvlm_jax.evals.results import read_evaluation
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import agreement, checkpoint, preflight
from configs.eval import devcv
from tests.evals.fakes import MODEL, WordTokenizer
from tests.evals.samples import SAME, THREE, memory, record
from tests.interchange.workdirs import make_workdir

NUM_ITEMS = 6
COUNT = "<image> How many of cup do you see?"


def items(task, text, answers, images=1):
    return [
        record(task, text, answers[i % len(answers)], images, f"{task}{i}", first=7 * i)
        for i in range(NUM_ITEMS)
    ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    tasks = {
        "leftright": items("leftright", SAME + THREE, "ABC", 4),
        "count": items("count", COUNT, "123"),
        "memory": [memory(6, name=f"memory{i}") for i in range(3)],
    }
    for name, records in tasks.items():
        splits = {"test": records, "train": records[:2]}
        write_dataset(folder, f"devcv_{name}", splits, "test items")
    (folder / "devcv_summary.json").write_text('{"synthetic": true}')
    return folder


@pytest.fixture
def run(shards, tmp_path, monkeypatch):
    """Settings of a run on two small tasks with the fake model."""
    for name in ("instruct", "other"):
        (tmp_path / name).mkdir()
    data = {"template": "baby_v1", "tokens_per_image": 1, "image_size": 8}
    trained = {"seed": 7, "data": {**data, "tokenizer": "words.model"}}

    def load_model(path, mesh):
        assert mesh.shape["data"] == 2
        step = int(path.rpartition("/")[2]) if "checkpoints" in path else 12
        info = {"step": step, "config": trained, "workdir": str(tmp_path)}
        return MODEL, {"shift": jax.numpy.int32(step)}, info

    monkeypatch.setattr(checkpoint, "load_model", load_model)
    monkeypatch.setattr(preflight, "check_checkpoint", lambda *args: None)
    monkeypatch.setattr(agreement, "check_reader", lambda *args: None)
    monkeypatch.setattr(
        checkpoint, "load_tokenizer", lambda *args: (WordTokenizer(), "")
    )
    config = devcv.get_config()
    config.checkpoint = str(tmp_path / "instruct")
    config.shards = str(shards)
    config.tasks = ("leftright", "count")
    config.batch_size = 8
    config.mesh = {"data": 2, "fsdp": 1, "tensor": 1}
    return config


def evaluate_in(workdir, config, **changes):
    cfg = EvalConfig(**{**config.to_dict(), **changes})
    return evaluate.evaluate(cfg, str(workdir))


def read_lines(folder):
    return [json.loads(x) for x in (folder / "predictions.jsonl").open()]


def test_whole_evaluation(run, tmp_path, capsys):
    (content,) = evaluate_in(tmp_path, run)
    folder = tmp_path / "eval" / "12"
    assert read_evaluation(folder) == content
    assert (content.step, content.seed, content.synthetic) == (12, 7, True)
    assert list(content.tasks) == ["leftright", "count"]
    assert content.tasks["count"].n == NUM_ITEMS
    assert content.problems == []
    assert content.overall[""]["ours"]["tasks"] == 2
    lines = read_lines(folder)
    plain = [
        one for one in lines if (one["control"], one["protocol"]) == ("", "choice")
    ]
    assert [one["id"] for one in plain] == [
        *(f"count{i}" for i in range(NUM_ITEMS)),
        *(f"leftright{i}" for i in range(NUM_ITEMS)),
    ]
    assert {one["control"] for one in lines} == {"", "constant", "prior", "pixels"}
    board = json.loads((folder / "leaderboard.json").read_text())
    assert set(board["results"]) == {"baby_count", "baby_leftright"}
    assert "| Left/Right |" in (folder / "table.md").read_text()
    assert not (folder / ".partial").exists()

    capsys.readouterr()
    assert evaluate_in(tmp_path, run) == [content]  # it does not load the model again
    assert capsys.readouterr().out == f"evaluation is whole: {folder}/results.json\n"


def test_a_killed_evaluation_goes_on_in_the_middle_of_a_set(run, tmp_path, monkeypatch):
    (undisturbed,) = evaluate_in(tmp_path / "other", run)
    asked = []
    real = CheckpointPredictor.answer

    def watched(self, forms, choices):
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append([form.id for form in forms])
        return real(self, forms, choices)

    monkeypatch.setattr(CheckpointPredictor, "answer", watched)
    with pytest.raises(KeyboardInterrupt):
        evaluate_in(tmp_path, run, shard_items=2)
    assert not (tmp_path / "eval" / "12" / "results.json").exists()
    assert len(asked) == 5  # three shards of leftright, two of count
    before = {name for names in asked for name in names}
    asked.clear()
    (content,) = evaluate_in(tmp_path, run, shard_items=2)
    assert len(asked) == 1
    assert before.isdisjoint(asked[0])
    assert content.tasks == undisturbed.tasks
    same = [read_lines(tmp_path / f / "eval" / "12") for f in (".", "other")]
    assert same[0] == same[1]


@pytest.mark.integration
@pytest.mark.usefixtures("eight_devices")
def test_batches_buckets_shards_and_mesh_change_nothing(run, tmp_path):
    tasks = {"tasks": ("leftright", "memory"), "controls": ("no_text",)}
    mesh = {"data": 2, "fsdp": 4, "tensor": 1}
    (first,) = evaluate_in(tmp_path / "a", run, **tasks, mesh=mesh)
    mesh = {"data": 2, "fsdp": 1, "tensor": 4}
    others = {"batch_size": 2, "mesh": mesh, "shard_items": 4, "buckets": (24, 200)}
    (second,) = evaluate_in(tmp_path / "b", run, **tasks, **others)
    assert second.tasks == first.tasks
    lines = [read_lines(tmp_path / f / "eval" / "12") for f in "ab"]
    assert lines[0] == lines[1]


@pytest.mark.integration
def test_controls_and_sources_stand_in_one_table(run, tmp_path, shards):
    sources = f"ego4d={shards},saycam={shards}"
    changes = {"shards": sources, "controls": ("shuffled_image",), "limit": 2}
    (content,) = evaluate_in(tmp_path, run, **changes, tasks=("all",))
    assert list(content.tasks) == [
        f"{source}/{task}"
        for source in ("ego4d", "saycam")
        for task in ("leftright", "memory", "count")
    ]
    rows = content.tasks["saycam/count"].rows
    assert {(row.control, row.protocol) for row in rows} >= {
        ("", "generate"),
        ("", "choice"),
        ("shuffled_image", "choice"),
        ("constant", ""),
        ("prior", ""),
    }
    assert set(content.overall) == {"ego4d", "saycam"}
    folder = tmp_path / "eval" / "12-first2"
    assert (folder / "leaderboard-ego4d.json").exists()


def test_a_trajectory_is_one_job(run, tmp_path):
    for step in (5, 30):
        folder = tmp_path / "instruct" / "checkpoints" / str(step)
        folder.mkdir(parents=True)
        (folder / "weights").write_text(str(step))
    contents = evaluate_in(tmp_path, run, trajectory=True, tasks=("count",))
    assert [content.step for content in contents] == [5, 30]
    assert (tmp_path / "eval" / "5" / "results.json").exists()
    assert (tmp_path / "eval" / "30" / "results.json").exists()


def test_predictions_of_somebody_else(run, tmp_path, capsys):
    file = tmp_path / "theirs.jsonl"
    lines = [{"task": "count", "id": f"count{i}", "output": "1"} for i in range(1, 6)]
    lines += [{"task": "count", "id": "count77", "output": "1"}]
    file.write_text("\n".join(map(json.dumps, lines)))
    changes = {"checkpoint": "", "predictions": str(file), "tasks": ("count",)}
    changes["protocols"] = ("generate",)
    (content,) = evaluate_in(tmp_path, run, **changes)
    assert content.tasks["count"].n == 5
    assert content.tasks["count"].score == pytest.approx(1 / 5)
    assert content.problems == [
        f"count, item 'count0': {file} has no answer to it",
        "count, item 'count77': no such item",
    ]
    assert (tmp_path / "eval" / "theirs-generate" / "results.json").exists()
    assert "left out: count, item 'count0'" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"1 problems, the first: count, item 'count0'"):
        evaluate_in(tmp_path / "strict", run, **changes, strict=True)


def bad_items():
    """One of each kind of item that cannot be asked, between two good ones."""
    text = SAME + THREE
    good = [record("leftright", text, "A", 4, f"good{i}", first=9 * i) for i in (0, 1)]
    equal, missing, marks = (record("leftright", text, "A", 4, n) for n in BAD)
    object.__setattr__(equal, "images", (equal.images[0],) * 4)
    object.__setattr__(missing, "images", (b"", *missing.images[1:]))
    object.__setattr__(marks, "images", (*marks.images, marks.images[0]))
    return [good[0], equal, missing, marks, good[1]]


BAD = {
    "equal": "options A and B and C are the same picture, the right one",
    "missing": "picture 1 of 4 is missing or damaged",
    "marks": "4 <image> marks in the turns but 5 images",
}


def test_bad_items_are_named_and_counted_or_stop_the_run(run, tmp_path, capsys):
    write_dataset(tmp_path / "bad", "devcv_leftright", {"test": bad_items()}, "tests")
    changes = {"shards": str(tmp_path / "bad"), "tasks": ("leftright",)}
    (content,) = evaluate_in(tmp_path, run, **changes)
    assert content.tasks["leftright"].n == 2
    assert len(content.problems) == len(BAD)
    told = capsys.readouterr().out
    for name, what in BAD.items():
        (said,) = (line for line in content.problems if f"'{name}'" in line)
        assert what in said
        assert f"left out: {said}\n" in told
    with pytest.raises(UserError, match=r"3 problems, the first: leftright.*strict=F"):
        evaluate_in(tmp_path / "strict", run, **changes, strict=True)
    assert not (tmp_path / "strict").exists()


def test_answers_to_unknown_items_stop_a_strict_run(run, tmp_path):
    file = tmp_path / "theirs.jsonl"
    lines = [{"task": "count", "id": f"count{i}", "output": "1"} for i in range(7)]
    file.write_text("\n".join(map(json.dumps, lines)))
    changes = {"checkpoint": "", "predictions": str(file), "tasks": ("count",)}
    changes |= {"protocols": ("generate",), "strict": True}
    with pytest.raises(UserError, match=r"1 problems, .*'count6': no such item"):
        evaluate_in(tmp_path, run, **changes)


def test_batch_must_divide_over_the_mesh(run, tmp_path):
    with pytest.raises(UserError, match=r"data x fsdp = 2; set config\.batch_size"):
        evaluate_in(tmp_path, run, batch_size=7)


@pytest.mark.usefixtures("eight_devices")
def test_heads_must_divide_over_the_mesh(run, tmp_path, monkeypatch):
    monkeypatch.undo()  # so that the checkpoint is the one that is there
    workdir = make_workdir(tmp_path, "nursery")
    loaded = []
    monkeypatch.setattr(checkpoint, "load_model", loaded.append)
    mesh = {"data": 2, "fsdp": 1, "tensor": 4}
    told = r"nursery: config\.mesh\.tensor 4 does not divide .*num_kv_heads 2; set it"
    with pytest.raises(UserError, match=told):
        evaluate_in(tmp_path, run, checkpoint=str(workdir), mesh=mesh)
    assert not loaded


def test_missing_dataset_is_named(run, tmp_path):
    with pytest.raises(UserError, match="devcv_lwl"):
        evaluate_in(tmp_path, run, tasks=("lwl",))


def test_command_refuses_a_missing_checkpoint(tmp_path, capsys):
    argv = ["", f"--workdir={tmp_path}", "--config=configs/eval/devcv.py:smoke"]
    argv += [f"--config.checkpoint={tmp_path}/none"]
    with pytest.raises(SystemExit) as stop:
        run_config_command(evaluate.__doc__, evaluate.main, EvalConfig, argv=argv)
    assert stop.value.code == 78
    told = capsys.readouterr().err
    assert told.startswith("error: config.checkpoint=")
    assert "Traceback" not in told


def test_compare_prints_runs_side_by_side(run, tmp_path, capsys):
    evaluate_in(tmp_path / "a", run, tasks=("count",))
    evaluate_in(tmp_path / "b", run, tasks=("count",), seed=1)
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        evaluate.compare_command(
            [f"{tmp_path}/a", f"{tmp_path}/b", "--format=markdown"]
        )
    assert not left.value.code
    assert "| Object Counting | 6 |" in capsys.readouterr().out
