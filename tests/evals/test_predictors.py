"""A checkpoint as a predictor: batches, buckets and company change nothing."""

import dataclasses

import jax
import numpy as np
import pytest

from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import engine
from babyvlm_jax.evals.engine import make_greedy
from babyvlm_jax.evals.items import num_rounds, round_record
from babyvlm_jax.runtime.errors import UserError
from tests.evals.fakes import make_model, make_predictor, picture

RIGHT, WRONG = 0.04172, 8.04172  # -log softmax of 8 * one_hot over 128 words


def records(count=7):
    return [
        Record(
            id=f"item{i}",
            source="eval/localize",
            images=(picture(3 * i), picture(i)),
            turns=(
                ("human", f"<image> {'which ' * (9 * i)}<image>"),
                ("assistant", ""),
            ),
        )
        for i in range(count)
    ]


def asked(method, batch_size, items=None, *args, **changes):
    predictor = make_predictor(batch_size, **changes)
    with jax.set_mesh(predictor.reader.mesh):
        return getattr(predictor, method)(items or records(), *args)


def answers(batch_size, items=None, **changes):
    return [replies[0] for replies in asked("generate", batch_size, items, **changes)]


def test_batch_size_buckets_and_company_do_not_change_answers():
    together = answers(batch_size=7)
    assert len(set(together)) > 1
    assert answers(batch_size=2) == together
    assert answers(batch_size=4, buckets=(16, 24, 100)) == together
    for i in range(7):
        assert answers(1, [records()[i]]) == [together[i]]


def test_pictures_reach_the_model():
    other = [
        dataclasses.replace(record, images=(picture(200), picture(201)))
        for record in records()
    ]
    assert answers(4) != answers(4, other)


def test_an_item_with_a_damaged_picture_is_named():
    bad = dataclasses.replace(records()[1], images=(picture(1), picture(2)[:-30]))
    with pytest.raises(UserError, match=r"record 'item1', image 2 of 2: an image of"):
        answers(4, [records()[0], bad])


def test_the_right_answer_is_not_shown():
    told = [
        dataclasses.replace(record, turns=(record.turns[0], ("assistant", "d")))
        for record in records()
    ]
    assert answers(4, told) == answers(4)


def test_compiles_once_per_bucket():
    model = make_model()
    answers(2, model=model)  # prompts of 9 to 63 tokens: one bucket
    answers(2, records(12), model=model)  # and up to 110: two
    assert make_greedy(model.decode_step, 4, 3)._cache_size() == 2
    first, _ = engine.make_steps(model.prefill, model.extend)
    assert first._cache_size() <= 3  # two lengths, two sizes of the pictures' table


CHOICES = [[("a", "b", "c", "d")]] * 7


def test_fixed_likelihoods_of_a_likely_and_of_unlikely_answers():
    for said, (found,) in zip(
        answers(4), asked("score", 4, None, CHOICES), strict=True
    ):
        best = "abcd".index(said)
        # the letter, then <eos>, which always follows a letter
        expected = np.full(4, -WRONG - RIGHT)
        expected[best] = -2 * RIGHT
        assert found == pytest.approx(expected, abs=1e-3)


def test_answers_of_several_tokens_follow_their_own_words():
    # behind "a" the model says <eos>, so "a b" is unlikely, however likely "a" is
    (found,) = asked("score", 1, records(1), [[("a", "a b", "b a", "b")]])
    a, a_b, b_a, b = found[0]
    assert min(a, b) - max(a_b, b_a) > 0
    letters = asked("score", 1, records(1), [[("a",)]])[0][0]
    assert letters[0] == pytest.approx(a)  # company changes nothing


def test_normalized_likelihoods_are_per_token():
    predictor = make_predictor(1)
    predictor.normalize = True
    with jax.set_mesh(predictor.reader.mesh):
        per_token = predictor.score(records(1), [[("a", "b a")]])[0][0]
    whole = asked("score", 1, records(1), [[("a", "b a")]])[0][0]
    assert per_token == pytest.approx(whole / [2, 3])


def test_both_at_once_are_as_each_alone():
    replies, found = asked("answer", 3, None, CHOICES)
    assert replies == asked("generate", 3)
    for one, other in zip(found, asked("score", 3, None, CHOICES), strict=True):
        assert np.array_equal(one, other)


def dialogue(number, rounds):
    asked_for = [f"<image> {'which ' * number}one is it?"] * rounds
    turns = [turn for one in asked_for for turn in (("human", one), ("assistant", "a"))]
    images = tuple(picture(20 * number + k) for k in range(rounds))
    return Record(f"d{number}", "eval/memory", images, tuple(turns))


def test_a_dialogue_beyond_the_context_is_read_up_to_there():
    items = [dialogue(number, rounds) for number, rounds in enumerate((6, 2, 5, 1))]
    predictor = make_predictor(4, context=30)
    words = ("a", "b", "c", "d")
    with jax.set_mesh(predictor.reader.mesh):
        beyond = predictor.beyond_context(items)
        played = predictor.generate(items)
        scored = predictor.score(items, [[words] * num_rounds(r) for r in items])
        for record, said, rounds in zip(items, played, scored, strict=True):
            chosen = []
            for number in range(num_rounds(record)):
                # as when the prompt is read anew, and cut, in each round
                for history, told in ((said, said[number]), (chosen, None)):
                    asked_now = round_record(record, history[:number])
                    values = engine.score_last(predictor.reader, asked_now, words)
                    if told is None:
                        np.testing.assert_allclose(rounds[number], values, rtol=1e-5)
                    else:
                        assert words[int(values.argmax())] == told
                chosen.append(words[int(rounds[number].argmax())])
    assert len(beyond) == 2 and min(beyond) > 30
    # once the context is full, the prompt stays the same, and so does the reply
    assert len(set(played[0][-2:])) == 1
    assert make_predictor(4).beyond_context(items) == []
    assert played != asked("generate", 4, items)
