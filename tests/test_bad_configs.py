"""Mistakes in a shipped config, as they are typed: one line, before device work."""

import signal
import subprocess
import sys

import jax
import pytest

from babyvlm_jax import checkpoint, settings, train
from babyvlm_jax.command import run_config_command
from babyvlm_jax.models.vlm import make_model
from tests import tiny, tiny_run

JOINT = "--config=configs/v2/joint.py:smoke,data={world}"
CONNECTOR = "--config=configs/v2/connector.py:size=small,root={root},data={world}"
CASES = {
    "mesh and heads": (
        [JOINT, "--config.mesh.data=1", "--config.mesh.tensor=8"],
        "config.mesh.tensor 8 does not divide config.model.decoder.num_heads 4; set it",
    ),
    "batch and mesh": (
        [JOINT, "--config.data.batch_size=12"],
        "batch of 12 rows is not divisible by data x fsdp = 8; set",
    ),
    "batch and accumulate": (
        [JOINT, "--config.accumulate=3"],
        "config.data.batch_size 8 is not divisible by config.accumulate 3",
    ),
    "pattern of nothing": (
        [JOINT, "--config.optim.trains=('ears/.*',)"],
        "config.optim.trains: 'ears/.*' matches no parameter; ",
    ),
    "two patterns": (
        [JOINT, "--config.optim.trains=('decoder/.*', '.*/embed')"],
        "'decoder/.*' and '.*/embed' both match 'decoder/embed'; ",
    ),
    "another architecture": (
        [CONNECTOR],
        "config.warm_start.decoder: ",
    ),
    "no such phase": (
        [CONNECTOR.replace("{root}", "nowhere")],
        "config.warm_start.decoder: no checkpoint in nowhere/language/checkpoints; ",
    ),
    "not in the sweep": (
        [JOINT + ",lr=1"],
        "lr='1' is not one of [2e-05, 0.0002, 0.002]; ",
    ),
    "unknown key": (
        [JOINT, "--config.model.decoder.depth=3"],
        "config.model.decoder.depth is no key of the config; ",
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A tiny world, and a root whose language phase trained a tiny decoder."""
    folder = tmp_path_factory.mktemp("world")
    tiny_run.make_world(folder)
    root = tmp_path_factory.mktemp("root")
    with jax.set_mesh(tiny.mesh_of()):
        model = make_model(tiny.FORMS["official"])
        params = jax.jit(lambda key: model.init(key, ("decoder",)))(jax.random.key(0))
    checkpoint.save_params(root / "language", 1, params)
    return {"world": folder, "root": root}


@pytest.fixture(autouse=True)
def no_device_work(monkeypatch):
    def refuse(*args):
        raise AssertionError("devices were given work")

    monkeypatch.setattr(train, "make_state_and_step", refuse)
    kept = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def command(flags, places, workdir):
    return ["train", *(f.format(**places) for f in flags), f"--workdir={workdir}"]


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_is_told_in_one_line(case, places, tmp_path, capsys, monkeypatch):
    flags, told = CASES[case]
    monkeypatch.setattr(sys, "argv", command(flags, places, tmp_path / "w"))
    with pytest.raises(SystemExit) as stop:
        run_config_command(train.__doc__, train.main, settings.TrainSettings)
    line = capsys.readouterr().err
    assert stop.value.code == 78
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert told in line
    assert not (tmp_path / "w" / "metrics.jsonl").exists()


def test_the_command_itself_says_so_too(places, tmp_path):
    flags, told = CASES["batch and mesh"]
    _, *argv = command(flags, places, tmp_path / "w")
    line = [sys.executable, "-m", "babyvlm_jax.train", *argv]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 78
    assert told in ended.stderr
    assert not (tmp_path / "w").exists()
