"""Answers side by side behind a prompt; what they score is in test_predictors."""

import numpy as np
import pytest

from babyvlm_jax.evals.engine import (
    Answer,
    answer_room,
    branches,
    encode_answer,
    shares,
)
from tests.evals.fakes import EOS, make_reader
from tests.evals.samples import ITEMS, memory


def answer(*ids):
    return Answer(np.array(ids, np.int32), np.ones(len(ids), bool))


def test_answers_are_segments_that_predict_their_second_token_on():
    piece = branches([answer(7, EOS), answer(8, 9, EOS)])
    assert piece.tokens.tolist() == [7, 8, 9]
    assert piece.segment_ids.tolist() == [1, 2, 2]
    assert piece.positions.tolist() == [0, 0, 1]
    assert piece.targets.tolist() == [EOS, 9, EOS]
    assert piece.loss_mask.tolist() == [True] * 3


def test_an_answer_without_words_has_no_place():
    piece = branches([answer(EOS), answer(8, EOS)])
    assert piece.tokens.tolist() == [8]
    assert piece.segment_ids.tolist() == [2]


def test_room_is_a_multiple_of_sixteen():
    one, five = answer(7, EOS), answer(1, 2, 3, 4, 5, EOS)
    assert answer_room([[one]]) == 16
    assert answer_room([[five, five, five, one]]) == 16
    assert answer_room([[one], [five, five, five, one, one]]) == 32
    assert answer_room([[answer(EOS)]]) == 16


def test_tokens_of_an_answer_and_its_end():
    reader = make_reader()
    found = encode_answer(reader, ITEMS["localize"], "top left")
    assert found.ids.tolist() == [*reader.tokenizer.encode("top left"), EOS]
    assert found.counted.all()
    last = encode_answer(reader, memory(6), "A")  # the last round, of two images
    assert last.ids.tolist() == [*reader.tokenizer.encode("a"), EOS]


def test_the_end_and_unknown_words_of_an_answer_may_count():
    reader = make_reader()
    reader.tokenizer._ids["blorp"] = reader.tokenizer.unk_id
    for changes, counted in (
        ({}, [True, False, True]),
        ({"score_eos": False}, [True, False, False]),
        ({"score_unknown": True}, [True, True, True]),
    ):
        found = encode_answer(reader, ITEMS["localize"], "top blorp", **changes)
        assert found.counted.tolist() == counted


def test_shares_are_among_the_offered():
    assert shares(np.array([-np.inf, -np.inf])) == pytest.approx([0.5, 0.5])
    assert shares(np.log([0.2, 0.6])) == pytest.approx([0.25, 0.75])
    assert shares(np.array([-1e4, -1e4])) == pytest.approx([0.5, 0.5])
