"""The row contract, value by value."""

import numpy as np
import pytest

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.images import encode_png
from babyvlm_jax.data.rows import Example, RowShape, collate, collate_prompts
from babyvlm_jax.runtime.errors import UserError

SHAPE = RowShape(seq_len=9, max_images=3, image_size=2, tokens_per_image=2)


def encoded(tokens, targets, visual, images=()):
    targets = np.array(targets, np.int32)
    return Encoded(
        "r",
        np.array(tokens, np.int32),
        targets,
        targets > 0,
        np.array(visual, np.int32),
        images,
    )


def grey(*shades):
    return np.stack([np.full((2, 2, 3), shade, np.uint8) for shade in shades])


TEXT = Example(encoded([2, 7], [7, 3], [-1, -1]), np.zeros((0, 2, 2, 3), np.uint8))
PAIR = Example(encoded([2, 0, 0, 8], [0, 0, 8, 3], [-1, 0, 1, -1]), grey(10))
TWO = Example(encoded([2, 0, 0], [0, 0, 9], [-1, 2, 3]), grey(20, 30))


def test_two_records_in_a_row():
    rows = [[PAIR, TWO._replace(source=3)], [TEXT._replace(source=1)]]
    batch = collate(rows, SHAPE)
    expected = {
        "tokens": [[2, 0, 0, 8, 2, 0, 0, 0, 0], [2, 7, 0, 0, 0, 0, 0, 0, 0]],
        "targets": [[0, 0, 8, 3, 0, 0, 9, 0, 0], [7, 3, 0, 0, 0, 0, 0, 0, 0]],
        "loss_mask": [[0, 0, 1, 1, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0]],
        "positions": [[0, 1, 2, 3, 0, 1, 2, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0, 0]],
        "segment_ids": [[1, 1, 1, 1, 2, 2, 2, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0]],
        "visual_index": [[-1, 0, 1, -1, -1, 4, 5, -1, -1], [-1] * 9],
        "sources": [[0, 0, 0, 0, 3, 3, 3, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0, 0]],
        "image_mask": [[1, 1, 1], [0, 0, 0]],
    }
    for key, value in expected.items():
        assert batch[key].astype(int).tolist() == value, key
    assert batch["images"][:, :, 0, 0, 0].tolist() == [[10, 20, 30], [0, 0, 0]]


def test_dtypes_and_shapes():
    batch = collate([[PAIR], []], SHAPE)
    assert {key: (value.dtype.name, value.shape) for key, value in batch.items()} == {
        "tokens": ("int32", (2, 9)),
        "targets": ("int32", (2, 9)),
        "loss_mask": ("bool", (2, 9)),
        "positions": ("int32", (2, 9)),
        "segment_ids": ("int32", (2, 9)),
        "visual_index": ("int32", (2, 9)),
        "sources": ("int32", (2, 9)),
        "images": ("uint8", (2, 3, 2, 2, 3)),
        "image_mask": ("bool", (2, 3)),
    }
    assert not batch["segment_ids"][1].any()


def test_targets_never_cross_records():
    batch = collate([[TEXT, TEXT, TEXT]], SHAPE)
    tokens, targets = batch["tokens"][0], batch["targets"][0]
    segments = batch["segment_ids"][0]
    assert targets.tolist() == [7, 3, 7, 3, 7, 3, 0, 0, 0]
    within = (segments[1:] == segments[:-1]) & (segments[1:] > 0)
    assert (targets[:-1] == tokens[1:])[within].all()


def test_rows_without_image_slots():
    batch = collate([[TEXT]], SHAPE._replace(max_images=0))
    assert batch["images"].shape == (1, 0, 2, 2, 3)


def test_too_much_for_a_row():
    with pytest.raises(UserError, match=r"'r' does not fit.* 11 tokens"):
        collate([[PAIR, PAIR, TWO]], SHAPE)
    with pytest.raises(UserError, match=r"4 images, but .* max_images 3"):
        collate([[TWO, TWO]], SHAPE)


def test_prompts_are_one_to_a_row():
    red = np.full((3, 3, 3), 50, np.uint8)
    question = encoded([2, 0, 0, 5], [0] * 4, [-1, 0, 1, -1], (encode_png(red),))
    batch = collate_prompts([question, TEXT.encoded], 5, 1, 2, 2)
    assert batch["tokens"].tolist() == [[2, 0, 0, 5, 0], [2, 7, 0, 0, 0]]
    assert batch["segment_ids"].tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert batch["visual_index"].tolist() == [[-1, 0, 1, -1, -1], [-1] * 5]
    assert batch["images"][:, 0, 0, 0, 0].tolist() == [50, 0]
    assert batch["image_mask"].tolist() == [[True], [False]]


def test_a_damaged_picture_is_named():
    question = encoded([2, 0, 0], [0] * 3, [-1, 0, 1], (b"junk",))
    with pytest.raises(UserError, match=r"record 'r', image 1 of 1: .*cannot be dec"):
        collate_prompts([question], 5, 1, 2, 2)
