"""Torch and ours on the same random weights: outputs, loss and gradients."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tests.models.parity import cases

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

pytestmark = pytest.mark.torch

LIBRARY = {"timm": "timm", "timm_grown": "timm", "torchvision": "torchvision"}


@pytest.mark.parametrize("size", ["tiny", "true"])
@pytest.mark.parametrize("name", [*cases.GOLDEN, *LIBRARY])
def test_outputs_and_gradients_equal_those_of_torch(name, size):
    if name in LIBRARY:
        pytest.importorskip(LIBRARY[name])
    from tests.models.parity import torch_side

    case = cases.make_case(name, size)
    weights, (loss, out, gradients) = torch_side.run(name, case)
    params = cases.params_of(case, weights)
    (our_loss, our_out), grads = jax.jit(
        jax.value_and_grad(lambda p: cases.loss(case, p), has_aux=True)
    )(params)
    theirs = flatten_dict(cases.params_of(case, gradients), sep="/")
    ours = flatten_dict(jax.tree.map(np.asarray, grads), sep="/")
    assert ours.keys() == theirs.keys()
    cases.compare(
        (float(our_loss), np.asarray(our_out), ours),
        (loss, out, {path: np.asarray(leaf) for path, leaf in theirs.items()}),
        case,
    )


def test_all_blocks_of_the_resnext_give_torch_s_tokens():
    from tests.models.parity import torch_side

    case = cases.make_case("resnext_whole", "true")
    weights, (_, out, _) = torch_side.run("resnext", case)
    ours = jax.jit(lambda p: cases.forward(case, p))(cases.params_of(case, weights))
    assert ours.shape == (2, 4, 2048)
    assert np.abs(ours - out).max() < 2e-4


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_bfloat16_keeps_the_probabilities(name):
    from tests.models.parity import torch_side

    case = cases.make_case(name, "true")
    weights, (_, out, _) = torch_side.run(name, case)
    cases.compare_bfloat16(case, weights, out)
