"""The programs, made for CPU devices: shapes only, and one compiled and read."""

import dataclasses
import functools
import json
import pathlib

import jax
import numpy as np
import pytest

from babyvlm_jax.aot import programs
from babyvlm_jax.aot.check import advice, check
from babyvlm_jax.aot.chips import CHIPS, Slice
from babyvlm_jax.aot.compiling import compile_for
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import settings
from babyvlm_jax.training.objectives import make_objective
from tests import tiny, tiny_run
from tests.aot.checks import TOO_LARGE

NOWHERE = tiny_run.World(pathlib.Path("shards"), pathlib.Path("tokenizer.model"))


def run_of(make=tiny_run.config, **changes):
    config = make(NOWHERE, **changes)
    return settings.from_config(json.loads(config.to_json()))


def test_a_batch_has_the_shapes_of_the_row_contract():
    run = run_of()
    batch = programs.abstract_batch(make_objective(run), tiny.mesh_of(fsdp=8))
    assert batch["images"].shape == (8, 2, 8, 8, 3)
    assert batch["tokens"].shape == (8, 32)
    assert batch["tokens"].sharding.shard_shape((8, 32)) == (1, 32)


@pytest.mark.integration
@pytest.mark.parametrize("what", ["eval", "decode"])
def test_programs_of_evaluation_lower(what):
    mesh = tiny.mesh_of(fsdp=2, tensor=2)
    with jax.set_mesh(mesh):
        function, arguments = programs.make_program(run_of(), mesh, what)
        results = jax.tree.leaves(function.lower(*arguments).out_info)
    length = programs.ANSWERS_STEP if what == "eval" else programs.NEW_TOKENS
    assert [one.shape for one in results] == [(8, length)]


@pytest.mark.integration
def test_a_vision_phase_has_its_step():
    mesh = tiny.mesh_of(data=2)
    run = run_of(tiny_run.vision_config)
    with jax.set_mesh(mesh):
        function, (state, batch) = programs.make_program(run, mesh, "dino")
        new, _ = function.eval_shape(state, batch)
    assert {*state.params} == {"vision", "head", "teacher"}
    assert jax.tree.map(np.shape, new) == jax.tree.map(np.shape, state)


@functools.lru_cache
def compiled():
    """The tiny joint step on eight CPU devices, read as if they were v5e's chips."""
    run = run_of(optim={"name": "adamw", "trains": ("connector/.*", "decoder/.*")})
    run = dataclasses.replace(run, mesh={"data": 1, "fsdp": 4, "tensor": 2})
    mesh = tiny.mesh_of(fsdp=4, tensor=2)
    with jax.set_mesh(mesh):
        made = compile_for(run, mesh, "train")
        where = Slice(CHIPS["v5e"], "2x4")
        return run, check(run, where, "train", dict(mesh.shape), made)


@pytest.mark.integration
def test_the_step_compiles_and_is_read():
    run, result = compiled()
    assert result.fits
    assert result.mesh == {"data": 1, "fsdp": 4, "tensor": 2}
    assert result.arguments > run.data.batch_size // 4 * 2 * 8 * 8 * 3  # its images
    assert {"all-gather", "all-reduce"} <= {*result.collectives}
    assert result.flops.model > 0
    assert result.roofline.compute == result.flops.model / 8 / 197e12


@pytest.mark.parametrize(
    ("make", "what"), [(tiny_run.config, "dino"), (tiny_run.vision_config, "decode")]
)
def test_a_program_that_the_phase_does_not_have(make, what):
    with pytest.raises(UserError, match=f"--what={what} does not go with config.loss"):
        programs.make_program(run_of(make), tiny.mesh_of(), what)


def test_an_unknown_program():
    with pytest.raises(UserError, match="--what=fly"):
        programs.make_program(run_of(), tiny.mesh_of(), "fly")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "set config.model.decoder.remat to 'full'"),
        ({"remat": {"decoder": "full"}}, "set config.accumulate to 2: 2 rows a chip"),
        (
            {"remat": {"decoder": "full"}, "batch": 16},
            "set config.mesh.tensor to 2",
        ),
        (
            {"remat": {}, "batch": 8, "mesh": {"data": 1, "fsdp": 8, "tensor": 2}},
            "take more chips or chips with more memory",
        ),
    ],
)
def test_advice_begins_with_what_costs_least(changes, words):
    result = dataclasses.replace(TOO_LARGE, **changes)
    assert advice(run_of(), result, "train") == words


def test_a_large_state_is_to_be_spread():
    state = TOO_LARGE.buffers[0]._replace(kind="Argument")
    mesh = {"data": 16, "fsdp": 1, "tensor": 1}
    result = dataclasses.replace(TOO_LARGE, buffers=(state,), mesh=mesh)
    assert "move devices from config.mesh.data to fsdp" in advice(
        run_of(), result, "train"
    )
