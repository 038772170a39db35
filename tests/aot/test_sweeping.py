"""What a sweep tries, and what it need not."""

import json

import pytest

from babyvlm_jax.aot import sweeping
from babyvlm_jax.aot.chips import parse_slice
from babyvlm_jax.training import settings
from configs.v2 import joint
from tests.aot.checks import FITS, TOO_LARGE


@pytest.fixture(scope="module")
def run():
    return settings.from_config(json.loads(joint.get_config().to_json()))


def tried(run, where, what, fits):
    """(mesh, policy, rows) of each choice; `fits` answers."""
    asked = []

    def compile_one(choice):
        mesh = tuple(choice.mesh.values())
        asked.append((mesh, choice.model.decoder.remat, choice.data.batch_size))
        return FITS if fits(*asked[-1]) else TOO_LARGE

    assert len([*sweeping.sweep(run, where, what, compile_one)]) == len(asked)
    return asked


def test_all_that_may_fit_is_tried(run):
    asked = tried(run, parse_slice("v5e:4x4"), "train", lambda *choice: True)
    assert len(asked) == 4 * 3 * 3
    assert len({*asked}) == len(asked)
    assert asked[:4] == [
        ((1, 16, 1), "full", 16),
        ((1, 16, 1), "full", 32),
        ((1, 16, 1), "full", 64),
        ((1, 16, 1), "attention", 16),
    ]


def test_what_must_be_larger_than_what_does_not_fit_is_not_tried(run):
    def fits(mesh, policy, rows):
        return policy == "full" and mesh == (2, 16, 1) and rows < 64

    asked = tried(run, parse_slice("v5e:4x4", 2), "train", fits)
    assert asked == [
        ((2, 16, 1), "full", 32),
        ((2, 16, 1), "full", 64),
        ((2, 16, 1), "attention", 32),
        ((2, 8, 2), "full", 16),
        ((2, 4, 4), "full", 8),
        ((32, 1, 1), "full", 32),
    ]


def test_without_a_backward_pass_there_is_no_remat_to_choose(run):
    asked = tried(run, parse_slice("v5e:2x2"), "decode", lambda *choice: True)
    assert {policy for _, policy, _ in asked} == {"full"}
