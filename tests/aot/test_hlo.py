"""The reader of HLO, on a program that is written out."""

import dataclasses
import re

import pytest

from babyvlm_jax.aot import hlo
from tests.aot.hlo_text import TEXT


@pytest.fixture(scope="module")
def program():
    return hlo.parse(TEXT)


def test_every_computation_is_found(program):
    assert program.entry == "main"
    assert [*program.computations] == [
        "add.1",
        "layer_of",
        "store",
        "body",
        "cond",
        "main",
    ]
    assert len(program.computations["body"]) == 14


def test_an_instruction_has_shape_operands_and_the_rest(program):
    start = program.computations["body"]["gather-start"]
    assert start.opcode == "all-gather-start"
    assert start.operands == ("shard",)
    assert [(one.dtype, one.dims, one.size) for one in start.arrays] == [
        ("bf16", (2, 8), 32),
        ("bf16", (8, 8), 128),
    ]
    assert start.op_name == "jit(step)/blocks/mlp/up"
    assert not start.is_root
    assert program.computations["body"]["y"].arrays[0].vmem


def test_operands_written_with_their_shapes_are_names_too():
    text = "ENTRY %m (a: f32[2,2]) -> f32[2,2] {\n"
    text += "  %a = f32[2,2]{1,0} parameter(0)\n"
    text += "  ROOT %b = f32[2,2]{1,0} add(f32[2,2]{1,0} %a, f32[2,2]{1,0} %a)\n}\n"
    assert hlo.parse(text).computations["m"]["b"].operands == ("a", "a")


def test_the_body_of_a_loop_runs_as_often_as_the_loop_turns(program):
    assert program.executions() == {
        "main": 1,
        "body": 3,
        "cond": 1,
        "layer_of": 3,
        "store": 3,
        "add.1": 0,
    }


def test_a_loop_that_xla_did_not_count_is_as_long_as_its_condition_says(program):
    loop = program.computations["main"]["loop"]
    uncounted = dataclasses.replace(loop, attributes="condition=%cond, body=%body")
    assert program.trips(loop) == program.trips(uncounted) == 3
    assert program.uncounted() == 0


def test_a_loop_of_unknown_length_counts_once_and_is_told():
    text = TEXT.replace("constant(3)", "parameter(1)")
    program = hlo.parse(re.sub(r"backend_config=\{.*", "", text))
    assert program.executions()["body"] == program.uncounted() == 1


def test_every_branch_counts():
    text = "%yes (a: f32[]) -> f32[] {\n  ROOT %a = f32[] parameter(0)\n}\n"
    text += text.replace("yes", "no")
    text += "ENTRY %m (p: pred[], x: f32[]) -> f32[] {\n"
    text += "  %p = pred[] parameter(0)\n  %x = f32[] parameter(1)\n"
    text += "  ROOT %c = f32[] conditional(%p, %x, %x), branch_computations={%yes, %no}"
    assert hlo.parse(text + "\n}\n").executions() == {"yes": 1, "no": 1, "m": 1}


def test_attributes_may_span_lines(program):
    """What follows a kernel is read, and the kernel with all that it is given."""
    assert [*program.computations["body"]][-5:] == ["y", "next", "one", "i2", "out"]
    kernel = program.computations["body"]["z"]
    assert kernel.attribute(r'"body":"(\w+)"') == "BODY"
    assert kernel.op_name == "jit(step)/splash_mha_fwd"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n\n%cond", "\n  %lost = f32[] constant(0)\n\n%cond"),
        ("%body (carry", "?body (carry"),
    ],
)
def test_an_assignment_that_is_not_read_is_an_error(old, new):
    with pytest.raises(ValueError, match=r"read \d+ of \d+ assignments"):
        hlo.parse(TEXT.replace(old, new, 1))


def test_a_computation_of_another_core_ends_too():
    text = TEXT.replace("}\n\n%cond", '}, execution_thread="other"\n\n%cond')
    assert hlo.parse(text) == hlo.parse(TEXT)
