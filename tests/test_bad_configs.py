"""Mistakes in a shipped config, as they are typed: one line, before device work."""

import signal
import sys

import jax
import pytest

from babyvlm_jax import train
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.training import checkpoint, settings
from tests import tiny, tiny_run

JOINT = "--config=configs/v2/joint.py:smoke,data={world}"
VISION = "--config=configs/v2/vision.py:smoke,data={world}"
LANGUAGE = "--config=configs/v1/language.py:smoke,data={world}"
CONNECTOR = "--config=configs/v2/connector.py:size=small,root={root},data={world}"

CASES = {
    "batch and mesh": (
        [JOINT, "--config.data.batch_size=7"],
        "batch of 7 rows is not divisible by data x fsdp = 2; set",
    ),
    "batch and accumulate": (
        [JOINT, "--config.accumulate=3"],
        "config.data.batch_size 8 is not divisible by config.accumulate 3",
    ),
    "rows leave fewer tokens to an image": (
        [JOINT, "--config.data.tokens_per_image=1"],
        "config.data.tokens_per_image is 1, but config.model.vision makes 5; ",
    ),
    "rows leave more tokens to an image": (
        [JOINT, "--config.model.connector.tokens_per_image=4"],
        "is 5, but config.model.connector.tokens_per_image is 4; ",
    ),
    "image and patch": (
        [JOINT, "--config.data.image_size=33"],
        "config.data.image_size is 33, no multiple of config.model.vision.patch_size",
    ),
    "image of another size": (
        [JOINT, "--config.data.image_size=64"],
        "config.data.image_size is 64, but config.model.vision.image_size 32; ",
    ),
    "crop and patch": (
        [VISION, "--config.dino.augment.local_size=20"],
        "config.dino.augment.local_size is 20, no multiple of config.model.vision.",
    ),
    "no room for an image": (
        [JOINT, "--config.data.seq_len=5"],
        "config.data.seq_len is 5, but one image takes config.data.tokens_per_image 5",
    ),
    "images and their ordinals": (
        [JOINT, "--config.model.connector.num_ordinals=4"],
        "config.data.max_images is 32, but config.model.connector.num_ordinals 4; ",
    ),
    "images without a part that sees": (
        [JOINT, "--config.parts=('decoder',)"],
        "config.data.max_images is 32, but config.parts has no connector and no vision",
    ),
    "parts that see without images": (
        [JOINT, "--config.data.max_images=0"],
        "config.data.max_images is 0, but config.parts has connector and vision",
    ),
    "row beyond the positions": (
        [LANGUAGE, "--config.data.seq_len=1100"],
        "config.data.seq_len is 1100, but config.model.decoder.max_len 1024; ",
    ),
    "fewer rows than words": (
        [LANGUAGE, "--config.model.decoder.vocab_size=50"],
        "config.model.decoder.vocab_size is 50, but the tokenizer has ",
    ),
    "no microbatch": ([JOINT, "--config.accumulate=0"], "config.accumulate is 0; "),
    "a rate that is no number": (
        [LANGUAGE, "--config.optim.lr_peak=nan"],
        "config.optim.lr_peak is nan; expected a number >= 0",
    ),
    "a key that the file does not list": (
        [JOINT, "--config.data.prefetch=-1"],
        "config.data.prefetch is -1; expected an integer >= 0",
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
