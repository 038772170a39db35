"""`:smoke` of every published phase, from its config to done.json.

By default one phase runs; all of both recipes, each phase from those before it, under
`slow`.
"""

import importlib
import json

import ml_collections
import numpy as np
import pytest

from babyvlm_jax import recipe, train
from babyvlm_jax.data.images import encode_png
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record, write_dataset
from configs.v2.instruct import RECORDS
from tests import tiny_run

pytestmark = pytest.mark.usefixtures("own_signals")


def dialogue(name: str, rounds: int, pictures: int):
    """Records of so many rounds, each with so many pictures."""

    def make(i):
        shown = [np.full((8, 8, 3), 9 * i + k, np.uint8) for k in range(pictures)]
        turns = ((HUMAN, "<image>" * pictures), (ASSISTANT, "look at the ball"))
        pictures_ = tuple(map(encode_png, shown)) * rounds
        return Record(f"{name}{i}", name, pictures_, turns * rounds)

    return make


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with every dataset that the phases name."""
    folder = tmp_path_factory.mktemp("world")
    tiny_run.make_world(folder)
    shapes = {"video_utterance": (1, 3), "interleaved": (4, 1)}
    shapes |= {f"devcv_{name}": (1, 2) for name in RECORDS}
    for name, shape in shapes.items():
        records = map(dialogue(name, *shape), range(8))
        write_dataset(folder / "shards", name, {"train": records}, "tests")
    return folder


def ended(workdir):
    done = json.loads((workdir / "done.json").read_text())
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train/loss"] for line in lines]
    assert done["step"] == len(losses) == 3
    assert np.isfinite(losses).all()


@pytest.mark.slow
def test_a_phase_by_itself(world, tmp_path):
    module = importlib.import_module("configs.v2.language")
    train.main(module.get_config(f"smoke,data={world}"), str(tmp_path))
    ended(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arg", ["v2:size=v2", "v2:size=v2-gpt2", "v1:size=v1", "v1:size=v1-llama"]
)
def test_a_whole_recipe(arg, world, tmp_path, monkeypatch):
    version, _, size = arg.partition(":")
    module = importlib.import_module(f"configs.{version}.recipe")
    config = module.get_config(f"smoke,data={world},{size}")

    def here(name, phase, workdir, child):
        train.main(ml_collections.ConfigDict(phase), str(workdir / name))
        return 0

    monkeypatch.setattr(recipe, "run_phase", here)
    recipe.main(config, str(tmp_path))
    for name in config.order:
        ended(tmp_path / name)
