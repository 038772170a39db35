"""A phase without weights: what trains, what it costs, and the shapes of its state."""

import dataclasses
import json
import pathlib

import jax
import pytest

from babyvlm_jax.training import phase, settings
from babyvlm_jax.training.state import abstract_state, make_state
from babyvlm_jax.training.step_flops import dino_flops, row_forward, train_flops
from tests import tiny, tiny_run

NOWHERE = tiny_run.World(pathlib.Path("shards"), pathlib.Path("tokenizer.model"))


def run_of(make=tiny_run.config, **changes):
    config = make(NOWHERE, **changes)
    return settings.from_config(json.loads(config.to_json()))


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
        assert phase.trained_parts(run_of(**only(*patterns))) == parts


def test_the_cost_of_a_step_is_that_of_its_rows():
    run = run_of(**only("decoder/.*"))
    remat = {"vision": "none", "decoder": "full"}
    model = dataclasses.replace(
        run.model, decoder=dataclasses.replace(run.model.decoder, remat="full")
    )
    row = row_forward(run.model, run.parts, seq_len=32, max_images=2)
    one = train_flops(row, ("decoder",), remat)
    with jax.set_mesh(tiny.mesh_of()):
        cost = phase.step_flops(dataclasses.replace(run, model=model))
    assert cost == pytest.approx((8 * one.model, 8 * one.again))


def test_the_cost_of_a_vision_phase_is_that_of_its_crops():
    run = run_of(tiny_run.vision_config)
    assert phase.step_flops(run) == dino_flops(run.model.vision, run.dino, 8)


@pytest.mark.parametrize("make", [tiny_run.config, tiny_run.vision_config])
def test_the_state_s_shapes_are_those_of_the_state(make):
    run, mesh = run_of(make), tiny.mesh_of(fsdp=2, tensor=2)
    with jax.set_mesh(mesh):
        found = phase.make_phase(run)
        drawn = jax.eval_shape(lambda: found.init(jax.random.key(0)))
        given = (found.tx, run.optim.trains, mesh, found.specs)
        abstract = abstract_state(*drawn, *given)
        state = jax.eval_shape(lambda *drawn: make_state(*drawn, *given), *drawn)
    assert jax.tree.structure(abstract) == jax.tree.structure(state)
    for leaf, made in zip(*map(jax.tree.leaves, (abstract, state)), strict=True):
        assert (leaf.shape, leaf.dtype) == (made.shape, made.dtype)
    assert any(leaf.sharding.spec != () for leaf in jax.tree.leaves(abstract))
