"""An objective without weights: what trains, what it costs, its state's shapes."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import settings
from babyvlm_jax.training.flops import row_forward, train_flops
from babyvlm_jax.training.objectives import make_objective
from babyvlm_jax.training.objectives.dino import dino_flops
from babyvlm_jax.training.state import abstract_state, make_state
from tests import tiny, tiny_run


def objective_of(*args, **changes):
    return make_objective(tiny_run.settings_of(*args, **changes))


def only(*patterns):
    return {"optim": {"name": "adamw", "trains": patterns}}


@pytest.mark.parametrize(
    ("patterns", "parts"),
    [
        (("connector/.*",), ("connector",)),
        (("connector/.*", "decoder/blocks/.*"), ("connector", "decoder")),
        ((".*",), ("connector", "decoder", "vision")),
    ],
)
def test_a_part_trains_if_anything_in_it_does(patterns, parts):
    with jax.set_mesh(tiny.mesh_of()):
        assert objective_of(**only(*patterns)).trained_parts() == parts


def test_the_cost_of_a_step_is_that_of_its_rows():
    run = tiny_run.settings_of(**only("decoder/.*"))
    remat = {"vision": "none", "decoder": "full"}
    model = dataclasses.replace(
        run.model, decoder=dataclasses.replace(run.model.decoder, remat="full")
    )
    row = row_forward(run.model, run.parts, seq_len=32, max_images=2)
    one = train_flops(row, ("decoder",), remat)
    with jax.set_mesh(tiny.mesh_of()):
        cost = make_objective(dataclasses.replace(run, model=model)).flops()
    assert cost == pytest.approx((8 * one.model, 8 * one.again))


def test_the_cost_of_a_vision_phase_is_that_of_its_crops():
    objective = objective_of(tiny_run.vision_config)
    run = objective.run
    assert objective.flops() == dino_flops(run.model.vision, run.dino, 8)


@pytest.mark.parametrize("make", [tiny_run.config, tiny_run.vision_config])
def test_the_state_s_shapes_are_those_of_the_state(make):
    found, mesh = objective_of(make), tiny.mesh_of(fsdp=2, tensor=2)
    with jax.set_mesh(mesh):
        drawn = found.shapes()
        given = (found.tx, found.run.optim.trains, mesh, found.specs)
        abstract = abstract_state(*drawn, *given)
        state = jax.eval_shape(lambda *drawn: make_state(*drawn, *given), *drawn)
    assert jax.tree.structure(abstract) == jax.tree.structure(state)
    for leaf, made in zip(*map(jax.tree.leaves, (abstract, state)), strict=True):
        assert (leaf.shape, leaf.dtype) == (made.shape, made.dtype)
    assert any(leaf.sharding.spec != () for leaf in jax.tree.leaves(abstract))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tiny_run.make_world(tmp_path_factory.mktemp("world"))


def held_out(config, split="train", datasets=()):
    config.validation = {"every": 1, "split": split, "datasets": datasets}
    return make_objective(settings.from_config(json.loads(config.to_json())))


def test_a_validation_sees_every_record_once(world):
    config = tiny_run.config(world)
    config.data.fraction = 0.1  # of what is trained on
    data = held_out(config, datasets=("image_utterance", "text")).validation_data()
    batches = [data.batch_at(number) for number in range(data.num_batches)]
    assert sum(one["segment_ids"].max(axis=1).sum() for one in batches) == 80
    assert [part.split()[0] for part in data.records.split(", ")] == [
        "image_utterance",
        "text",
    ]
    config = tiny_run.vision_config(world)
    config.data.batch_size = 12
    data = held_out(config).validation_data()
    batches = [data.batch_at(number) for number in range(data.num_batches)]
    assert sum(one["valid"].sum() for one in batches) == 40
    shown = [one["images"][one["valid"]][:, 0, 0, 0] for one in batches]
    assert sorted(np.concatenate(shown)) == [5 * number for number in range(40)]
    slices = [data.batch_at(3, process, 2)["valid"] for process in (0, 1)]
    assert np.concatenate(slices).tolist() == batches[3]["valid"].tolist()


def test_a_validation_of_a_split_that_is_not_there(world):
    objective = held_out(tiny_run.config(world), split="val")
    with pytest.raises(UserError, match="'val'"):
        objective.validation_data()
