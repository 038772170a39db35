"""A phase from flags to done.json: stopping, dying, resuming, and refusing."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from babyvlm_jax import train
from babyvlm_jax.data import packing, tokenizer
from babyvlm_jax.runtime import lock, telemetry
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import UserError, run_main
from babyvlm_jax.runtime.telemetry import RATES
from babyvlm_jax.training import checkpoint, settings
from tests import tiny_run

pytestmark = pytest.mark.usefixtures("own_signals", "steps_compile_once")

NUM_STEPS = 8
CLOCK = ("step_s", "input_wait", "checkpoint_wait", "goodput", *RATES)
EVERYTHING = ocp.args.Composite(
    params=ocp.args.StandardRestore(), train=ocp.args.StandardRestore()
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tiny_run.make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module", autouse=True)
def traced_once():
    with pytest.MonkeyPatch.context() as patch:
        made = tiny_run.made_once(train.make_state_and_step)
        patch.setattr(train, "make_state_and_step", made)
        yield


SAVED = []  # of the run below: (step, steps in its log when it was saved)


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory):
    """Work directory of a run that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    save = checkpoint.Checkpoints.save

    def noted(self, step, *args, **kwargs):
        SAVED.append((step, [line["step"] for line in told(workdir)]))
        save(self, step, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.Checkpoints, "save", noted)
        train.main(tiny_run.config(world, num_steps=NUM_STEPS), str(workdir))
    return workdir


@pytest.fixture
def after_ticks(monkeypatch):
    """Does something once so many steps were made."""

    def arrange(count, action):
        ticks = []
        tick = telemetry.Writer.tick

        def counted(writer):
            tick(writer)
            ticks.append(None)
            if len(ticks) == count:
                action()

        monkeypatch.setattr(telemetry.Writer, "tick", counted)

    return arrange


def told(workdir):
    """metrics.jsonl without what the clock says."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    clock = {"time_s", "unix_s", *(f"train/{name}" for name in CLOCK)}
    return [{k: v for k, v in json.loads(x).items() if k not in clock} for x in lines]


def everything(workdir, step):
    """The checkpoint as it is."""
    path = workdir.resolve() / "checkpoints" / str(step)
    handler = ocp.CompositeCheckpointHandler("params", "train")
    with ocp.Checkpointer(handler) as reader:
        return reader.restore(path, args=EVERYTHING)


def weights(workdir):
    """Every array of the last checkpoint, optimizer state included."""
    found = everything(workdir, NUM_STEPS)
    leaves, _ = jax.tree_util.tree_flatten_with_path((found["params"], found["train"]))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_run(workdir, expected):
    assert told(workdir) == told(expected)
    found, wanted = weights(workdir), weights(expected)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_run_writes_every_step_and_says_that_it_is_done(undisturbed):
    lines = told(undisturbed)
    assert [line["step"] for line in lines] == list(range(1, NUM_STEPS + 1))
    assert set(lines[0]) == {
        "step",
        "train/loss",
        "train/loss/image_utterance",
        "train/count",
        "train/grad_norm",
        "train/learning_rate",
        "train/skipped",
        "train/skipped_in_a_row",
    }
    assert lines[-1]["train/loss"] < lines[0]["train/loss"]
    assert lines[4]["train/loss/image_utterance"] == lines[4]["train/loss"]
    with (undisturbed / "metrics.jsonl").open() as file:
        waits = [json.loads(line)["train/input_wait"] for line in file]
    assert all(0 <= wait <= 1 for wait in waits)
    done = json.loads((undisturbed / "done.json").read_text())
    assert (done["step"], done["start_step"]) == (NUM_STEPS, 0)


def backwards(*args, **kwargs):
    """`packing.plan` in another order."""
    made = PLAN(*args, **kwargs)
    return dataclasses.replace(made, rows=made.rows[::-1])


PLAN = packing.plan


def test_sigterm_saves_and_the_resumed_run_is_the_same(
    world, undisturbed, tmp_path, after_ticks, capsys, monkeypatch
):
    config = tiny_run.config(world, num_steps=NUM_STEPS, save_every=100)
    after_ticks(5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as stop:
        run_main(lambda: train.main(config, str(tmp_path)))
    assert stop.value.code == 75
    assert "tiny at step 5 of 8, saved" in capsys.readouterr().err
    assert not (tmp_path / "done.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(packing, "plan", backwards)
        with pytest.raises(UserError, match=r"/5 cannot go on .* another order"):
            train.main(config, str(tmp_path))
    assert len(told(tmp_path)) == 5
    train.main(config, str(tmp_path))
    assert json.loads((tmp_path / "done.json").read_text())["start_step"] == 5
    assert_same_run(tmp_path, undisturbed)


KILL_AT_STEP = """
import json, os, signal, sys
import ml_collections
from babyvlm_jax import train
from babyvlm_jax.runtime import telemetry
ticks, tick = [], telemetry.Writer.tick
def counted(writer):
    tick(writer)
    ticks.append(None)
    if len(ticks) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
telemetry.Writer.tick = counted
config = ml_collections.ConfigDict(json.loads(sys.argv[1]))
train.main(config, sys.argv[2])
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(world, undisturbed, tmp_path):
    config = tiny_run.config(world, num_steps=NUM_STEPS)
    command = [sys.executable, "-c", KILL_AT_STEP, config.to_json(), str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # Step 7's checkpoint may or may not have been whole when the kill came.
    start = checkpoint.newest_step(tmp_path)
    assert start in (3, 6)
    train.main(config, str(tmp_path))
    assert json.loads((tmp_path / "done.json").read_text())["start_step"] == start
    assert_same_run(tmp_path, undisturbed)


def test_a_finished_run_is_left_alone(world, undisturbed, capsys):
    before = (undisturbed / "metrics.jsonl").stat().st_mtime_ns
    train.main(tiny_run.config(world, num_steps=NUM_STEPS), str(undisturbed))
    assert "already finished" in capsys.readouterr().out
    assert (undisturbed / "metrics.jsonl").stat().st_mtime_ns == before


def test_a_workdir_of_another_config_is_refused(world, undisturbed):
    config = tiny_run.config(world, num_steps=NUM_STEPS, seed=1)
    with pytest.raises(UserError, match=r"another config: seed is 0 there and 1"):
        train.main(config, str(undisturbed))


def test_a_finished_run_knows_its_data_wherever_they_lie(
    world, undisturbed, tmp_path, capsys
):
    moved = tiny_run.World(tmp_path / "s: a,b", tmp_path / "t.model")
    shutil.copytree(world.shards, moved.shards)
    shutil.copy(world.tokenizer, moved.tokenizer)
    workdir = tmp_path / "moved"
    shutil.copytree(undisturbed, workdir)
    train.main(tiny_run.config(moved, num_steps=NUM_STEPS), str(workdir))
    assert "already finished" in capsys.readouterr().err
    content = tokenizer.train(["look at the red ball"], 100, [])
    moved.tokenizer.write_bytes(content)
    with pytest.raises(UserError, match=r"finished, .* the tokenizer file is another"):
        train.main(tiny_run.config(moved, num_steps=NUM_STEPS), str(workdir))


@pytest.mark.integration
def test_a_run_goes_on_when_its_data_moved_and_what_it_began_from_is_gone(
    world, undisturbed, tmp_path, after_ticks
):
    source = tmp_path / "at_19:02"
    shutil.copytree(undisturbed, source)
    config = tiny_run.config(world, num_steps=4, save_every=100)
    config.warm_start = {"decoder": str(source), "vision": f"{source}:vision"}
    after_ticks(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        run_main(lambda: train.main(config, str(tmp_path / "w")))
    shutil.rmtree(source)
    config.data.shards = str(tmp_path / "elsewhere") + "/"
    shutil.copytree(world.shards, config.data.shards)
    config.data.update(num_threads=2)  # a key that is new since
    train.main(config, str(tmp_path / "w"))
    assert [line["step"] for line in told(tmp_path / "w")] == [1, 2, 3, 4]
    kept = json.loads((tmp_path / "w" / "config.json").read_text())
    assert kept["data"]["shards"] == config.data.shards


def test_no_step_is_missing_from_the_log_of_a_checkpoint(undisturbed):
    """Whatever ends the process: when a checkpoint is there, so are its lines."""
    assert [step for step, _ in SAVED] == [3, 6, NUM_STEPS]
    for step, logged in SAVED:
        assert logged == list(range(1, step + 1))


@pytest.mark.integration
def test_a_phase_starts_from_the_weights_of_another(world, undisturbed, tmp_path):
    config = tiny_run.config(world, num_steps=2)
    config.warm_start = {
        "vision": str(undisturbed),
        "decoder": f"{undisturbed}:decoder",
    }
    config.optim.trains = ("connector/.*",)
    config.save_every = NUM_STEPS
    train.main(config, str(tmp_path))
    found = everything(tmp_path, 2)["params"]
    trained = weights(undisturbed)
    leaves, _ = jax.tree_util.tree_flatten_with_path({"decoder": found["decoder"]})
    for path, leaf in leaves:
        expected = trained["[0]" + jax.tree_util.keystr(path)]
        np.testing.assert_array_equal(leaf, expected)


@pytest.mark.integration
@pytest.mark.parametrize("make", [tiny_run.config, tiny_run.vision_config])
def test_any_phase_tells_its_validations_and_ends_with_the_best(world, tmp_path, make):
    config = make(world, num_steps=4, save_every=2)
    config.validation = {"every": 2, "split": "train"}
    train.main(config, str(tmp_path))
    seen = {line["step"]: line.get("val/loss") for line in told(tmp_path)}
    assert (seen[1], seen[3]) == (None, None)
    done = json.loads((tmp_path / "done.json").read_text())
    losses = {step: seen[step] for step in (2, 4)}
    assert done["best_step"] == min(losses, key=losses.get)
    assert done["best_loss"] == pytest.approx(min(losses.values()))
    assert all(np.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("name", ["only", "synthetic"])
def test_what_measures_a_part_of_training_is_another_command(world, tmp_path, name):
    config = tiny_run.config(world)
    config.data[name] = True
    with pytest.raises(UserError, match=rf"config\.data\.{name} .*benchmarks\.alone"):
        train.main(config, str(tmp_path / "w"))
    assert list(tmp_path.iterdir()) == []


class Unread:
    """A device value that notes at which step the host asked for it."""

    def __init__(self, value, made, asked, steps):
        self._value, self._made, self._asked, self._steps = value, made, asked, steps

    def __float__(self):
        self._asked.append((self._made, len(self._steps)))
        return float(self._value)


@pytest.mark.integration
def test_the_loop_asks_for_values_of_logged_steps_only_and_late(
    world, tmp_path, monkeypatch
):
    make, steps, asked = train.make_state_and_step, [], []

    def noted(*args):
        state, step = make(*args)

        def unread(state, batch):
            steps.append(None)
            state, values = step(state, batch)
            made = len(steps)
            return state, {k: Unread(v, made, asked, steps) for k, v in values.items()}

        return state, unread

    monkeypatch.setattr(train, "make_state_and_step", noted)
    config = tiny_run.config(world, num_steps=NUM_STEPS, log_every=4, save_every=100)
    train.main(config, str(tmp_path))
    assert sorted(set(asked)) == [(4, 8), (8, 8)]


@pytest.mark.slow
@pytest.mark.usefixtures("eight_devices")
def test_a_run_goes_on_with_another_mesh_and_other_habits(
    world, undisturbed, tmp_path, after_ticks
):
    config = tiny_run.config(world, num_steps=NUM_STEPS, save_every=100)
    after_ticks(5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        run_main(lambda: train.main(config, str(tmp_path)))
    config.update(mesh={"data": 2, "fsdp": 2, "tensor": 2}, save_every=2, keep=3)
    train.main(config, str(tmp_path))
    assert json.loads((tmp_path / "config.json").read_text())["mesh"]["fsdp"] == 2
    for ours, theirs in zip(told(tmp_path), told(undisturbed), strict=True):
        # another order of f32 sums, carried through the updates
        np.testing.assert_allclose(ours["train/loss"], theirs["train/loss"], rtol=1e-4)


def test_a_folder_in_use_is_refused(world, tmp_path):
    config = tiny_run.config(world, num_steps=NUM_STEPS)
    with lock.held(tmp_path), pytest.raises(UserError, match="is in use by process"):
        train.main(config, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def refuse(change, world, tmp_path, capsys):
    """The one line that a spoilt config is answered with."""
    config = tiny_run.config(world, num_steps=NUM_STEPS)
    change(config)
    with pytest.raises(SystemExit) as stop:
        run_main(lambda: train.main(config, str(tmp_path)))
    line = capsys.readouterr().err
    assert stop.value.code == 78
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert not (tmp_path / "metrics.jsonl").exists()
    return line


def set_value(key, value):
    def change(config):
        section, _, field = key.rpartition(".")
        target = config[section] if section else config
        with target.unlocked():
            target[field] = value

    return change


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("data.shards", "/nowhere", "/nowhere"),
        ("data.tokenizer", "/nowhere/t.model", "no tokenizer /nowhere/t.model"),
        ("data.mixture", {"pears": 1.0}, "'pears'"),
        ("optim.name", "sgd", "config.optim.name is 'sgd'"),
        ("num_steps", 0, "config.num_steps is 0"),
    ],
)
def test_bad_input_is_answered_in_one_line(world, tmp_path, capsys, key, value, named):
    assert named in refuse(set_value(key, value), world, tmp_path, capsys)


@pytest.mark.integration
def test_data_that_ends_early_is_no_reason_to_run_again(world, tmp_path):
    config = tiny_run.config(world, num_steps=NUM_STEPS)
    config.data.repeats = 1
    with pytest.raises(UserError, match=r"ended after step 3 .* config.data.repeats 1"):
        train.main(config, str(tmp_path))
    assert not (tmp_path / "done.json").exists()


def test_the_command_line_takes_overrides_and_names_unknown_keys(
    world, tmp_path, capsys, monkeypatch
):
    resolved = tmp_path / "config.json"
    resolved.write_text(tiny_run.config(world, num_steps=1).to_json())
    flags = [f"--config=configs/resolved.py:{resolved}", f"--workdir={tmp_path}/w"]
    line = ["train", *flags, "--config.oops=1"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as stop:
        run_config_command(train.__doc__, train.main, settings.TrainSettings)
    assert stop.value.code == 78
    assert "error: config.oops is no key" in capsys.readouterr().err
