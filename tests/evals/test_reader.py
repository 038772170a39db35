"""Batches that a checkpoint is fed, and the visual tokens of their images."""

import jax
import numpy as np
import pytest

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.evals.reader import Features, RowTokens, collate, fetch, plan
from babyvlm_jax.runtime.errors import UserError
from tests.evals.fakes import make_model, make_reader, picture


def test_plan_groups_by_bucket_and_sorts_by_length():
    reader = make_reader(batch_size=2)
    assert plan([10, 70, 12, 8], reader) == [[3, 0], [2], [1]]
    assert plan([], reader) == []


@pytest.mark.parametrize(
    ("length", "bucket"), [(1, 64), (64, 64), (65, 128), (129, 256), (300, 384)]
)
def test_first_bucket_that_holds_it_or_a_multiple_of_the_last(length, bucket):
    assert make_reader().bucket(length) == bucket


def test_pieces_are_padded_on_the_right():
    tokens = [np.array([5, 6], np.int32), np.array([7], np.int32)]
    batch = collate([RowTokens(tokens[0], np.array([-1, 3])), RowTokens(tokens[1])], 3)
    assert not batch.pop("loss_mask").any() and not batch.pop("targets").any()
    assert {name: rows.tolist() for name, rows in batch.items()} == {
        "tokens": [[5, 6, 0], [7, 0, 0]],
        "visual_index": [[-1, 3, -1], [-1, -1, -1]],
        "segment_ids": [[1, 1, 0], [1, 0, 0]],
        "positions": [[0, 1, 0], [0, 0, 0]],
    }


def test_a_piece_that_is_too_long_is_an_error():
    with pytest.raises(ValueError, match="broadcast"):
        collate([RowTokens(np.array([5, 6], np.int32))], 1)


def test_a_batch_repeats_its_last_row():
    reader = make_reader(batch_size=3)
    pieces = [RowTokens(np.array([value], np.int32)) for value in (5, 6)]
    batch = reader.put(pieces, 2)
    assert fetch(batch["tokens"]).tolist() == [[5, 0], [6, 0], [6, 0]]


@pytest.fixture
def reader():
    reader = make_reader(2, make_model(tokens_per_image=2), tokens_per_image=2)
    with jax.set_mesh(reader.mesh):
        yield reader


def encoded(visual, images):
    visual = np.array(visual, np.int32)
    zeros = np.zeros(len(visual), np.int32)
    return Encoded("x", zeros, zeros, zeros.astype(bool), visual, images)


def test_each_picture_is_encoded_once_and_found_by_its_bytes(reader):
    features = Features(reader)
    features.hold([picture(5), picture(7), picture(5), picture(9)])
    assert features.table.shape == (16 * reader.batch_size, 2, 1)
    assert np.asarray(features.table)[:3, :, 0].tolist() == [[5, 5], [7, 7], [9, 9]]
    one = encoded([-1, 0, 1, 2, 3], (picture(9), picture(5)))
    assert features.row_tokens(one).visual_index.tolist() == [-1, 4, 5, 0, 1]
    assert features.row_tokens(one, start=3).visual_index.tolist() == [0, 1]


def test_pictures_that_are_held_are_not_encoded_again(reader):
    features = Features(reader)
    features.hold([picture(5), picture(7)])
    table = features.table
    features.hold([picture(7)])
    assert features.table is table
    features.hold([picture(8)])
    assert features.table is not table


def test_another_table_of_the_same_shape_compiles_nothing(reader, caplog):
    Features(reader).hold([picture(5)])
    with jax.log_compiles(), caplog.at_level("WARNING"):
        Features(reader).hold([picture(6), picture(7)])
        features = Features(reader)
        features.hold([picture(8)])
        features.hold([picture(9)])
    compiled = [line for line in caplog.messages if line.startswith("Compiling")]
    assert compiled == []


def test_no_pictures(reader):
    features = Features(reader)
    features.hold([])
    assert features.row_tokens(encoded([-1, -1], ())).visual_index.tolist() == [-1, -1]


def test_a_damaged_picture_is_an_error(reader):
    with pytest.raises(UserError, match="cannot be decoded"):
        Features(reader).hold([picture(1)[:-30]])
