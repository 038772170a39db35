"""Many checkpoints, in many jobs, stopped and started again: nothing is done twice."""

import dataclasses
import json
import shlex
import shutil
import signal

import jax
import pytest

from babyvlm_jax import evaluate
from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.evals import results
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.engine import CheckpointPredictor
from babyvlm_jax.report.collect import read_growth
from babyvlm_jax.runtime.command import make_flags, parse
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import agreement, checkpoint, preflight
from babyvlm_jax.training.checkpoint import whole
from launch import eval_jobs
from launch.jobs import Job
from tests.evals.fakes import MODEL, WordTokenizer
from tests.evals.samples import SAME, THREE, record

COUNT = "<image> How many of cup do you see?"
STEPS = (2, 4)
CHEAP = ("--config.batch_size=8", "--config.buckets=(96,)")


def items(task, text, answers, images=1):
    return [
        record(task, text, answers[i % len(answers)], images, f"{task}{i}", first=7 * i)
        for i in range(4)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder of shards with two small tasks, and of a tokenizer."""
    root = tmp_path_factory.mktemp("data")
    for task, text, answers, images in (
        ("leftright", SAME + THREE, "ABC", 4),
        ("count", COUNT, "123", 1),
    ):
        records = items(task, text, answers, images)
        write_dataset(root / "shards", f"devcv_{task}", {"test": records}, "tests")
    (root / "tokenizer.model").touch()
    return root


def write_checkpoint(folder):
    """A folder that looks like a whole checkpoint."""
    folder.mkdir(parents=True)
    (folder / "params").mkdir()
    (folder / "params" / "array").write_text("")
    (folder / whole.LIST).write_text('{"sizes": {"params/array": 0}}')
    (folder / whole.STAMP).write_text('{"commit_timestamp_nsecs": 1}')
    (folder / whole.COMMITTED).write_text(f"/checkpoints/{folder.name}")
    assert whole.fault(folder) is None


@pytest.fixture
def trained(data, tmp_path, monkeypatch):
    """The same folder, and a finished run of a fake model with two checkpoints.

    Its answers depend on the step.
    """
    root = tmp_path / "root"
    root.mkdir()
    for name in ("shards", "tokenizer.model"):
        (root / name).symlink_to(data / name)
    for step in STEPS:
        write_checkpoint(root / "run" / "checkpoints" / str(step))
    (root / "run" / "done.json").touch()
    (root / "run" / "config.json").write_text("{}")
    facts = {"template": "baby_v1", "tokens_per_image": 1, "image_size": 8}

    def load_model(path, mesh):
        step = int(path.rpartition("/")[2])
        config = {"seed": 7, "data": {**facts, "tokenizer": "words.model"}}
        info = {"step": step, "config": config, "workdir": str(root / "run")}
        return MODEL, {"shift": jax.numpy.int32(step)}, info

    monkeypatch.setattr(checkpoint, "load_model", load_model)
    monkeypatch.setattr(preflight, "check_checkpoint", lambda *args: None)
    monkeypatch.setattr(agreement, "check_reader", lambda *args: None)
    monkeypatch.setattr(
        checkpoint, "load_tokenizer", lambda *args: (WordTokenizer(), "")
    )
    return root


class Here:
    """Runs each job in this process, and counts the items that were asked."""

    def __init__(self):
        self.commands, self.asked, self.limit = [], [], None
        self.stopped = None

    def run(self, command):
        self.commands.append(command)
        at = command.index("babyvlm_jax.evaluate")
        words = command[at:]
        config = parse(words, make_flags(settings=EvalConfig), ["config", "workdir"])
        workdir = next(w for w in words if w.startswith("--workdir="))
        evaluate.main(config, workdir.partition("=")[2])
        return 0


@pytest.fixture
def here(monkeypatch):
    child = Here()
    monkeypatch.setattr(eval_jobs, "Child", lambda: child)
    real = CheckpointPredictor.answer

    def watched(self, forms, choices):
        if child.limit is not None and len(child.asked) >= child.limit:
            raise KeyboardInterrupt
        child.asked.append(sorted(form.id for form in forms))
        return real(self, forms, choices)

    monkeypatch.setattr(CheckpointPredictor, "answer", watched)
    return child


def words(trained, workdir, *more):
    return [
        f"--checkpoints={trained}/run/checkpoints/*",
        f"--data={trained}",
        f"--workdir={workdir}",
        "--group-by=task",
        "--config.shard_items=2",
        *CHEAP,
        *more,
    ]


def content_of(folder):
    content = json.loads((folder / "results.json").read_text())
    return {**content, "seconds": 0}


def test_killed_and_started_again_nothing_is_asked_twice(
    trained, here, tmp_path, capsys
):
    given = words(trained, tmp_path / "out")
    here.limit = 7  # shards of two items; four make a checkpoint
    with pytest.raises(KeyboardInterrupt):
        eval_jobs.main(given)
    assert (tmp_path / "out/pieces/2/count/eval/2/results.json").exists()
    assert not (tmp_path / "out/eval/4").exists()
    here.limit = None
    assert eval_jobs.main(given) == 0
    assert len(here.asked) == len(STEPS) * 4
    once = [names for names in here.asked if names[0] in ("count0", "leftright0")]
    assert len(once) == len(STEPS) * 2
    started = len(here.commands)
    assert eval_jobs.main(given) == 0  # all is there
    assert (len(here.commands), len(here.asked)) == (started, len(STEPS) * 4)

    # as one evaluation of all tasks would have written it
    again = Here()
    for step in STEPS[1:]:
        path = f"{trained}/run/checkpoints/{step}"
        flags = ["--config=configs/eval/devcv.py", f"--config.checkpoint={path}"]
        flags += [f"--config.shards={trained}/shards"]
        flags += [f"--config.tokenizer={trained}/tokenizer.model"]
        flags += [*CHEAP, f"--workdir={tmp_path}/whole"]
        again.run(["babyvlm_jax.evaluate", *flags])
        ours, theirs = (tmp_path / f / "eval" / str(step) for f in ("out", "whole"))
        assert content_of(ours) == content_of(theirs)
        assert results.read_lines(ours) == results.read_lines(theirs)
        names = {path.name for path in theirs.iterdir()}
        assert {path.name for path in ours.iterdir()} == names

    capsys.readouterr()
    assert eval_jobs.main(given) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table[2:]] == ["2", "4"]
    assert "| 4 |" in (tmp_path / "out/checkpoints.md").read_text()
    assert {tuple(one) for one in read_growth(tmp_path / "out")} == {STEPS}

    lines = (trained / "run/eval_metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    assert [line["step"] for line in lines] == list(STEPS)
    score = content_of(tmp_path / "out/eval/4")["tasks"]["count"]["score"]
    assert lines[1]["test/count/accuracy"] == score
    assert len(list((trained / "run/tensorboard/eval").iterdir())) == 1


def test_a_dry_run_prints_the_jobs_of_each_back_end(trained, here, tmp_path, capsys):
    given = words(trained, tmp_path, "--dry-run")

    def printed(*more):
        assert eval_jobs.main([*given, *more]) == 0
        return list(map(shlex.split, capsys.readouterr().out.splitlines()))

    lines = printed()
    assert len(lines) == len(STEPS) * 2
    locked = ["-m", "babyvlm_jax.runtime.lock", f"{tmp_path}/pieces/2/leftright"]
    assert lines[0][1:4] == locked
    assert "--config.limit=3" in printed("--config.limit=3")[0]
    slurm = printed("--backend=slurm", "--with=--gpus=1 --time=2:00")[0]
    assert slurm[0].endswith("launch/slurm/submit.sh")
    assert slurm[1:5] == ["eval-run-2-leftright", "--gpus=1", "--time=2:00", "--"]
    assert slurm[5:8] == ["python", "-m", "babyvlm_jax.evaluate"]
    slice_ = printed("--backend=tpu_vm", "--with=s1 --zone=z")[0]
    assert slice_[0].endswith("launch/tpu_vm.sh")
    assert slice_[1:4] == ["s1", "--zone=z", "--"]
    together = printed("--group-by=all")
    assert len(together) == len(STEPS)
    assert "--config.tasks=('leftright', 'count')" in together[0]
    assert not here.commands


def test_a_cluster_is_asked_once_and_merged_when_it_has_written(
    trained, here, tmp_path, monkeypatch, capsys
):
    (trained / "run" / "done.json").rename(trained / "run" / "not_done")
    waits = []

    def rest(self):
        waits.append(len(here.commands))
        if len(waits) == 2:  # the cluster's jobs end, and so does the training
            for line in here.commands.copy():
                at = line.index("--")
                Here.run(Here(), line[at + 1 :])
            (trained / "run" / "not_done").rename(trained / "run" / "done.json")

    monkeypatch.setattr(eval_jobs.Runner, "rest", rest)
    monkeypatch.setattr(here, "run", lambda line: here.commands.append(line) or 0)
    given = words(trained, tmp_path, "--watch", "--backend=slurm")
    given[0] = f"--checkpoints={trained}/run"
    assert eval_jobs.main([*given, "--with=--gpus=1", "--group-by=all"]) == 0
    assert len(here.commands) == len(STEPS)
    assert waits == [len(STEPS)] * 2
    assert "4" in capsys.readouterr().out.splitlines()[-1]


def test_what_was_evaluated_is_shown_when_its_checkpoint_is_gone(
    trained, here, tmp_path
):
    shutil.copytree(trained / "run", tmp_path / "run")
    given = words(trained, tmp_path / "out")
    given[0] = f"--checkpoints={tmp_path}/run"
    assert eval_jobs.main(given) == 0
    shutil.rmtree(tmp_path / "run/checkpoints/2")
    (tmp_path / "run/eval_metrics.jsonl").unlink()
    asked = len(here.asked)
    assert eval_jobs.main(given) == 0
    assert len(here.asked) == asked
    assert (tmp_path / "out/checkpoints.md").read_text().count("\n| ") == 3
    lines = (tmp_path / "run/eval_metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(STEPS)


def test_a_job_that_fails_does_not_stop_the_others(
    trained, here, tmp_path, monkeypatch, capsys
):
    real = here.run
    bad = f"{tmp_path}/pieces/4/count"

    def run(command):
        return 78 if bad in command else real(command)

    monkeypatch.setattr(here, "run", run)
    assert eval_jobs.main(words(trained, tmp_path)) == 78
    told = capsys.readouterr()
    assert f"{bad}: ended with 78" in told.err
    done = sorted(path.name for path in (tmp_path / "eval").iterdir())
    assert done == ["2"]


def test_who_is_asked_to_stop_stops(trained, here, tmp_path, monkeypatch):
    monkeypatch.setattr(here, "run", lambda line: here.commands.append(line) or 75)
    with pytest.raises(SystemExit) as stop:
        eval_jobs.main(words(trained, tmp_path))
    assert (stop.value.code, len(here.commands)) == (75, 1)


def test_who_watches_and_is_asked_to_stop_stops(trained, here, tmp_path, capsys):
    options = eval_jobs.read_options(words(trained, tmp_path, "--every=600"))
    runner = eval_jobs.Runner(options)
    here.stopped = signal.SIGTERM
    with pytest.raises(SystemExit) as stop:
        runner.rest()
    assert stop.value.code == 75


def test_names_that_are_too_long_stay_apart(trained, tmp_path):
    options = eval_jobs.read_options(words(trained, tmp_path))
    (plan,) = eval_jobs.make_plans(options)
    piece = plan.pieces(plan.targets()[0])[0]
    names = [
        dataclasses.replace(piece, group=f"{'long-' * 15}{end}").name for end in "ab"
    ]
    assert names[0] != names[1]
    for name in (piece.name, *names):
        Job(name, ("true",))  # which every back-end accepts


def test_what_is_wrong_is_named(trained, tmp_path):
    with pytest.raises(UserError, match="unknown option '--limit=3'"):
        eval_jobs.main(words(trained, tmp_path, "--limit=3"))
    with pytest.raises(UserError, match="limitt"):
        eval_jobs.main(words(trained, tmp_path, "--config.limitt=3"))
    twice = "--configs=configs/eval/devcv.py,configs/eval/devcv.py"
    with pytest.raises(UserError, match="same folder"):
        eval_jobs.main(words(trained, tmp_path, twice))
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    given = words(trained, tmp_path)
    given[0] = f"--checkpoints={tmp_path}/empty"
    with pytest.raises(UserError, match="none of them is whole"):
        eval_jobs.main(given)
