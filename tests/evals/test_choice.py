import jax
import numpy as np
import pytest

from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.schema import Record
from babyvlm_jax.errors import UserError
from babyvlm_jax.evals.choice import (
    choose,
    make_row_nll,
    mask_prompt,
    match_images,
    score_texts,
    with_answer,
)
from babyvlm_jax.evals.generate import generate
from tests.evals.fakes import make_model, make_predictor, picture

RIGHT, WRONG = 0.04172, 8.04172  # -log softmax of 8 * one_hot over 128 words


def record(number, history=()):
    return Record(
        id=f"item{number}",
        source="eval/localize",
        images=(picture(number),),
        turns=(*history, ("human", "<image> where ?"), ("assistant", "A")),
    )


RECORDS = [record(i) for i in range(6)]


def ignore(number):
    del number


def run(function, *args, predictor=None):
    predictor = predictor or make_predictor(4)
    with jax.set_mesh(predictor.mesh):
        return function(predictor, *args)


def test_fixed_scores_of_a_likely_and_an_unlikely_answer():
    (best,) = run(generate, [record(2)], 4, ignore)
    other = "a" if best != "a" else "b"
    pair = [with_answer(record(2), best), with_answer(record(2), other)]
    scores = run(score_texts, pair, False, ignore)
    # the letter, then <eos>, which always follows a letter
    assert scores == pytest.approx([2 * RIGHT, WRONG + RIGHT], abs=1e-3)
    per_token = run(score_texts, pair, True, ignore)
    assert per_token == pytest.approx(scores / 2)


def test_history_is_not_scored():
    history = (("human", "hello"), ("assistant", "c c c c"))
    scores = run(score_texts, [record(2, history)], False, ignore)
    assert scores[0] < 2 * (WRONG + RIGHT)


def test_choice_agrees_with_generation_when_the_answer_is_offered():
    said = run(generate, RECORDS, 4, ignore)
    assert len(set(said)) > 1
    assert run(choose, RECORDS, ["abcd"] * 6, False, ignore) == said


def test_choice_keeps_to_what_is_offered():
    picks = run(choose, RECORDS, [("A", "B")] * 3 + [("B",)] * 3, True, ignore)
    assert set(picks[:3]) <= {"A", "B"}
    assert picks[3:] == ["B"] * 3


def test_batch_size_does_not_change_choices():
    small = run(choose, RECORDS, ["abcd"] * 6, False, ignore)
    predictor = make_predictor(16)
    assert run(choose, RECORDS, ["abcd"] * 6, False, ignore, predictor=predictor) == (
        small
    )


def test_compiles_once_per_bucket():
    model = make_model()
    predictor = make_predictor(4, model)
    run(score_texts, RECORDS, False, ignore, predictor=predictor)
    run(score_texts, RECORDS[:1], True, ignore, predictor=predictor)
    assert make_row_nll(model.forward)._cache_size() == 1


def test_progress_counts_questions():
    seen = []
    run(choose, RECORDS, ["abcd"] * 6, False, seen.append)
    assert sum(seen) == pytest.approx(6)


def vocabulary_item(pixels):
    return Record(
        id="pv",
        source="eval/picture_vocabulary",
        images=tuple(picture(value) for value in pixels),
        turns=(("human", "<image>" * len(pixels)), ("assistant", "A")),
        meta={"word": "top"},
    )


def test_match_finds_the_picture_that_says_the_word():
    # Answers are ids 8, 9, 10, 11 (8 = "left", ... 10 = "top"), picked by the sum of
    # ids and pixel: one pixel value of four neighbours makes "top" likely.
    predictor = make_predictor(4, make_model(answers=(8, 9, 10, 11)))
    found = [
        run(match_images, [vocabulary_item(p)], False, ignore, predictor=predictor)[0]
        for p in [(0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2)]
    ]
    assert sorted(found) == ["A", "B", "C", "D"]


def test_match_needs_a_word():
    with pytest.raises(UserError, match="picture_vocabulary"):
        run(match_images, RECORDS, False, ignore)


def test_mask_prompt_keeps_the_last_answer():
    mask = np.array([0, 1, 1, 0, 0, 1, 1], bool)
    zeros = np.zeros(7, np.int32)
    encoded = Encoded("x", zeros, zeros, mask, zeros, ())
    kept = mask_prompt(encoded, prompt_len=6).loss_mask
    assert kept.astype(int).tolist() == [0, 0, 0, 0, 0, 1, 1]
