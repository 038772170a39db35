"""Layouts and names, with arrays small enough to read."""

import numpy as np
import pytest

from babyvlm_jax.models.config import (
    ConnectorConfig,
    DecoderConfig,
    GPT2Config,
    ViTConfig,
    VLMConfig,
)
from babyvlm_jax.models.interop.encoders import NAMES, vit
from babyvlm_jax.models.interop.llava import connector, llama, llava
from babyvlm_jax.models.interop.table import (
    TRANSPOSE,
    Rule,
    Table,
    conv,
    prefixed,
    their_shapes,
    to_ours,
    to_theirs,
    vocabulary,
)
from babyvlm_jax.runtime.errors import UserError


def test_a_kernel_becomes_a_matrix_of_rows_columns_channels():
    kernel = np.arange(8).reshape(1, 2, 2, 2)  # one output, two inputs, 2 x 2
    matrix = conv(2).to_ours(kernel)
    # top left of both inputs, top right, bottom left, bottom right
    assert matrix[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    np.testing.assert_array_equal(conv(2).to_theirs(matrix), kernel)


def test_a_vocabulary_is_padded_with_zeros():
    table = np.array([[1, 2], [3, 4], [5, 6]])
    rows = vocabulary(3, 4)
    assert rows.to_ours(table).tolist() == [[1, 2], [3, 4], [5, 6], [0, 0]]
    columns = vocabulary(3, 4, transpose=True)
    assert columns.to_ours(table).tolist() == [[1, 3, 5, 0], [2, 4, 6, 0]]
    for layout in (rows, columns):
        np.testing.assert_array_equal(layout.to_theirs(layout.to_ours(table)), table)


FUSED = Table(
    (
        Rule("h.{layer}.qk", "blocks/q", TRANSPOSE, part=(0, 2)),
        Rule("h.{layer}.qk", "blocks/k", TRANSPOSE, part=(1, 2)),
        Rule("last", "norm"),
    ),
    num_layers=2,
    ignored=(r"h\.\d+\.junk",),
    constants={"pi": np.array([3.0])},
)
THEIRS = {
    "h.0.qk": np.array([[1, 2, 3], [4, 5, 6]]),
    "h.1.qk": np.array([[7, 8, 9], [10, 11, 12]]),
    "last": np.array([13]),
}
OURS = {
    "blocks/q": [[[1], [2], [3]], [[7], [8], [9]]],
    "blocks/k": [[[4], [5], [6]], [[10], [11], [12]]],
    "norm": [13],
}


def test_fused_leaves_are_divided_and_layers_stacked():
    ours = dict(to_ours(FUSED, THEIRS.__getitem__))
    assert {path: leaf.tolist() for path, leaf in ours.items()} == OURS
    again = dict(to_theirs(FUSED, ours.__getitem__))
    assert again.keys() == THEIRS.keys() | {"pi"}
    for name, leaf in THEIRS.items():
        np.testing.assert_array_equal(again[name], leaf)


def test_shapes_of_theirs():
    shapes = {path: np.shape(leaf) for path, leaf in OURS.items()}
    assert their_shapes(FUSED, shapes) == {
        "h.0.qk": (2, 3),
        "h.1.qk": (2, 3),
        "last": (1,),
        "pi": (1,),
    }


def test_prefixes_reach_names_paths_and_what_is_ignored():
    table = prefixed(FUSED, "a.b.", "part/")
    assert table.rules[0].name(1) == "a.b.h.1.qk"
    assert table.rules[0].ours == "part/blocks/q"
    assert table.constants.keys() == {"a.b.pi"}
    assert table.ignores("a.b.h.3.junk")
    assert not table.ignores("h.3.junk")
    assert not table.ignores("a.b.h.3.junk.more")


def test_options_of_llama_change_its_table():
    def names(**options):
        return {rule.theirs for rule in llama(DecoderConfig(**options)).rules}

    assert names() - names(tied=True) == {"lm_head.weight"}
    layer = "model.layers.{layer}.self_attn"
    assert names(qk_norm=True) - names() == {
        f"{layer}.q_norm.weight",
        f"{layer}.k_norm.weight",
    }
    assert llama(DecoderConfig(tied=True)).ignores("lm_head.weight")


@pytest.mark.parametrize("library", sorted(NAMES))
def test_every_library_names_the_same_leaves(library):
    table = vit(ViTConfig(), library)
    paths = {rule.ours for rule in table.rules}
    assert len(paths) == len(table.rules) == 22
    assert paths == {rule.ours for rule in vit(ViTConfig(), "transformers").rules}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: vit(ViTConfig(stem="conv"), "timm"), "vision.stem 'conv'"),
        (
            lambda: vit(ViTConfig(layer_scale=1e-5), "torchvision"),
            "vision.layer_scale 1e-05 has no counterpart in torchvision",
        ),
        (
            lambda: vit(ViTConfig(num_registers=4), "transformers"),
            "4 register tokens has no counterpart in transformers",
        ),
        (
            lambda: connector(ConnectorConfig(tokens_per_image=1), "a", "b"),
            "connector.tokens_per_image 1",
        ),
        (lambda: llava(VLMConfig(decoder=GPT2Config())), "got vit and gpt2"),
    ],
)
def test_what_torch_does_not_have_is_named(make, named):
    with pytest.raises(UserError) as told:
        make()
    assert named in str(told.value)
