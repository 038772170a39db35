"""The stored outputs of torch, without torch: outputs, gradients, bf16, names."""

import pathlib

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from babyvlm_jax.models.interop.table import their_shapes, to_ours, to_theirs
from tests.chosen import some
from tests.models.parity import cases

FOLDER = pathlib.Path(__file__).parent / "goldens"


def load(name):
    """Case, torch-named weights, and (loss, outputs, torch-named gradients)."""
    case = cases.make_case(name)
    with np.load(FOLDER / f"{name}.npz") as stored:
        arrays = dict(stored)
    for key, value in case.batch.items():
        np.testing.assert_array_equal(arrays[f"batch/{key}"], value)
    weights, gradients = (
        {
            key.removeprefix(kind): value
            for key, value in arrays.items()
            if key.startswith(kind)
        }
        for kind in ("weights/", "gradients/")
    )
    return case, weights, (arrays["loss"], arrays["out"], gradients)


def flat(tree):
    return {k: np.asarray(v) for k, v in flatten_dict(tree, sep="/").items()}


@pytest.mark.parametrize(
    "name",
    some(cases.GOLDEN, ("llama", "gpt2", "vit")),
)
def test_outputs_and_gradients_are_those_of_torch(name):
    case, weights, (loss, out, gradients) = load(name)
    params = cases.params_of(case, weights)
    both = jax.value_and_grad(lambda p: cases.loss(case, p), has_aux=True)
    run = both if gradients else lambda p: (cases.loss(case, p), {})
    (our_loss, our_out), grads = jax.jit(run)(params)
    theirs = flat(cases.params_of(case, gradients)) if gradients else {}
    ours = flat(grads)
    assert ours.keys() == theirs.keys()
    assert bool(theirs) == (name in cases.WITH_GRADIENTS)
    cases.compare(
        (float(our_loss), np.asarray(our_out), ours), (loss, out, theirs), case
    )


@pytest.mark.integration
def test_bfloat16_keeps_the_probabilities():
    case, weights, (_, out, _) = load("llava")
    cases.compare_bfloat16(case, weights, out)


@pytest.mark.parametrize("name", cases.GOLDEN)
def test_each_table_names_every_leaf_once_and_turns_back(name):
    case, weights, _ = load(name)
    ours = {
        path: leaf
        for table in case.tables
        for path, leaf in to_ours(table, weights.__getitem__)
    }
    assert len(ours) == sum(len(table.rules) for table in case.tables)
    again = {
        name: leaf
        for table in case.tables
        for name, leaf in to_theirs(table, ours.__getitem__)
    }
    left = {
        name
        for name in weights.keys() - again.keys()
        if not any(table.ignores(name) for table in case.tables)
    }
    assert not left
    assert again.keys() <= weights.keys()
    for key, leaf in again.items():
        np.testing.assert_array_equal(leaf, weights[key], key)


@pytest.mark.parametrize("name", ["gpt2", "resnext", "llava"])
def test_shapes_are_told_without_leaves(name):
    case, weights, _ = load(name)
    shapes = {
        path: leaf.shape
        for table in case.tables
        for path, leaf in to_ours(table, weights.__getitem__)
    }
    told = {}
    for table in case.tables:
        told |= their_shapes(table, shapes)
    assert told == {key: weights[key].shape for key in told}
