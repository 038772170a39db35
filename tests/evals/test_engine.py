"""The engine: greedy decoding, likelihoods of answers, dialogues in lock-step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from babyvlm_jax.data.rows import collate_prompts
from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals import engine
from babyvlm_jax.evals.engine import (
    AnswerTokens,
    CheckpointPredictor,
    answer_room,
    branches,
    check_prefix,
    detokenize,
    encode_answer,
    make_greedy,
    score_last,
    shares,
)
from babyvlm_jax.evals.items import num_rounds, round_record
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.runtime.errors import UserError
from tests import tiny
from tests.evals.fakes import (
    EOS,
    WordTokenizer,
    make_model,
    make_predictor,
    make_reader,
    picture,
)
from tests.evals.samples import ITEMS, memory
from tests.interchange.workdirs import make_tokenizer

#         0  1  2  3  4  5  6  7: what follows each token
FOLLOW = [0, 0, 0, 0, 5, 6, 3, 7]


def decode_step(params, cache, tokens):
    return jax.nn.one_hot(params[tokens], 8), cache - 1


def begin(last):
    """Logits that follow the last tokens, and a cache."""
    last = jnp.array(last)
    return jax.nn.one_hot(jnp.array(FOLLOW)[last], 8), jnp.zeros(last.shape)


def run(last, max_new_tokens):
    greedy = make_greedy(decode_step, max_new_tokens, EOS)
    return np.asarray(greedy(jnp.array(FOLLOW), *begin(last))).tolist()


def test_rows_end_at_their_own_eos():
    assert run([4, 5, 6, 7], 4) == [
        [5, 6, EOS, EOS],
        [6, EOS, EOS, EOS],
        [EOS, EOS, EOS, EOS],
        [7, 7, 7, 7],  # never ends: cut off
    ]


def test_one_new_token():
    assert run([4], 1) == [[5]]


def test_compiles_once_per_shape_and_is_shared():
    greedy = make_greedy(decode_step, 5, EOS)
    assert make_greedy(decode_step, 5, EOS) is greedy
    for rows in (2, 2, 3, 2):
        greedy(jnp.array(FOLLOW), *begin([7] * rows))
    assert greedy._cache_size() == 2


def test_stops_when_all_rows_have_ended():
    steps = []

    def counting_step(params, cache, tokens):
        jax.debug.callback(lambda: steps.append(1))
        return decode_step(params, cache, tokens)

    greedy = make_greedy(counting_step, 6, EOS)
    found = greedy(jnp.array(FOLLOW), *begin([6, 5])).tolist()
    assert found == [[EOS] * 6, [6] + [EOS] * 5]
    jax.effects_barrier()
    assert len(steps) == 1


def test_detokenize_cuts_at_eos_and_strips():
    words = WordTokenizer()
    top, left = words.encode("top left")
    rows = ([top, left, 3, top], [top, left], [3, 3], [top, 128, 3])
    said = [detokenize(words, np.array(row)) for row in rows]
    assert said == ["top left", "top left", "", "top"]


def answer(*ids):
    return AnswerTokens(np.array(ids, np.int32), np.ones(len(ids), bool))


def test_answers_are_segments_that_predict_their_second_token_on():
    found = branches([answer(7, EOS), answer(8, 9, EOS)])._asdict()
    assert {k: x.tolist() for k, x in found.items() if x is not None} == {
        "tokens": [7, 8, 9],
        "segment_ids": [1, 2, 2],
        "positions": [0, 0, 1],
        "targets": [EOS, 9, EOS],
        "loss_mask": [True] * 3,
    }


def test_an_answer_without_words_has_no_place():
    piece = branches([answer(EOS), answer(8, EOS)])
    assert piece.tokens.tolist() == [8]
    assert piece.segment_ids.tolist() == [2]


def test_room_is_a_multiple_of_sixteen():
    one, five = answer(7, EOS), answer(1, 2, 3, 4, 5, EOS)
    several = [five, five, five, one]
    rows = ([[one]], [several], [[one], [*several, one]], [[answer(EOS)]])
    assert [answer_room(row) for row in rows] == [16, 16, 32, 16]


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


OFFERED = ("a", "b", "the red ball")
NUM_NEW, LENGTH, MOST_IMAGES = 3, 96, 8


def make_dialogue(number, rounds):
    """Rounds of one picture, then of two, of which one was seen before."""
    turns, images = [], []
    for k in range(rounds):
        images += [picture(40 * number + 7 * k), picture(40 * number)][: 1 + (k > 0)]
        marks = "(a) <image> (b) <image>" if k else "(a) <image>"
        turns += [("human", f"look at the dog {marks}"), ("assistant", "a")]
    return Record(f"d{number}", "eval/memory", tuple(images), tuple(turns))


DIALOGUES = [
    make_dialogue(number, rounds) for number, rounds in enumerate((3, 1, 4, 2))
]
ALL_OFFERED = [[OFFERED] * num_rounds(record) for record in DIALOGUES]


def make_tiny_predictor(
    form, batch_size=4, mesh=None, buckets=(LENGTH,), template="baby_v1"
):
    bench, mesh = tiny.bench(form), mesh or tiny.mesh_of()
    reader = Reader(
        model=bench.model,
        params=jax.device_put(bench.params, NamedSharding(mesh, PartitionSpec())),
        tokenizer=Tokenizer.parse(make_tokenizer(), "test"),
        template=template,
        tokens_per_image=bench.model.config.tokens_per_image,
        image_size=8,
        batch_size=batch_size,
        buckets=buckets,
        mesh=mesh,
    )
    return CheckpointPredictor(reader, max_new_tokens=NUM_NEW)


@functools.lru_cache
def played(form, batch_size=4, sizes=(1, 1, 1), buckets=(LENGTH,)):
    predictor = make_tiny_predictor(form, batch_size, tiny.mesh_of(*sizes), buckets)
    with jax.set_mesh(predictor.reader.mesh):
        return predictor.answer(DIALOGUES, ALL_OFFERED)


def log_probs(form, encoded):
    """f32[T, V] of one row, by the plain forward pass over pictures and text."""
    bench = tiny.bench(form)
    per_image = bench.model.config.tokens_per_image
    batch = collate_prompts([encoded], LENGTH, MOST_IMAGES, 8, per_image)
    with jax.set_mesh(tiny.mesh_of()):
        logits = np.asarray(bench.forward(bench.params, batch))[0]
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def write_alone(form, reader, asked):
    """Greedy answer to a record's last question without any cache."""
    encoded = reader.encode(asked, answer=False)
    words = []
    while len(words) < NUM_NEW and reader.tokenizer.eos_id not in words:
        count = len(encoded.tokens)
        words.append(int(log_probs(form, encoded)[count - 1].argmax()))
        grown = {
            "tokens": np.append(encoded.tokens, np.int32(words[-1])),
            "targets": np.append(encoded.targets, np.int32(0)),
            "loss_mask": np.append(encoded.loss_mask, False),
            "visual_index": np.append(encoded.visual_index, np.int32(-1)),
        }
        encoded = type(encoded)(**{**vars(encoded), **grown})
    return detokenize(reader.tokenizer, np.array(words))


def score_alone(form, reader, asked, answer):
    turns = (*asked.turns[:-1], ("assistant", answer))
    whole = reader.encode(Record("x", "x", asked.images, turns), answer=True)
    start = len(reader.encode(asked, answer=False).tokens) - 1
    said = log_probs(form, whole)[np.arange(len(whole.tokens)), whole.targets]
    return said[start:][whole.loss_mask[start:]].sum()


@pytest.mark.integration
@pytest.mark.parametrize(
    "form", ["nursery", pytest.param("v1", marks=pytest.mark.slow)]
)
def test_each_dialogue_is_as_when_it_is_read_anew_each_round(form):
    reader = make_tiny_predictor(form).reader
    replies, found = played(form)
    if form == "nursery":  # fresh weights of the other say one thing only
        assert len({text for said in replies for text in said}) > 1
    for record, said, values in zip(DIALOGUES, replies, found, strict=True):
        chosen = []
        for number in range(num_rounds(record)):
            asked = round_record(record, said[:number])
            assert write_alone(form, reader, asked) == said[number]
            asked = round_record(record, chosen)
            alone = [score_alone(form, reader, asked, text) for text in OFFERED]
            # f32 sums over another number of masked keys
            assert values[number] == pytest.approx(alone, abs=1e-4)
            chosen.append(OFFERED[int(values[number].argmax())])


@pytest.mark.integration
@pytest.mark.parametrize(
    ("batch_size", "sizes", "buckets"),
    [
        (2, (2, 1, 1), (200,)),
        pytest.param(8, (8, 1, 1), (32, LENGTH), marks=pytest.mark.slow),
        pytest.param(8, (2, 2, 2), (32, LENGTH), marks=pytest.mark.slow),
    ],
)
def test_batches_buckets_and_devices_change_nothing(batch_size, sizes, buckets):
    replies, found = played("nursery")
    others, again = played("nursery", batch_size, sizes, buckets)
    assert others == replies
    for one, other in zip(found, again, strict=True):
        # f32 sums in another order
        assert np.concatenate(one) == pytest.approx(np.concatenate(other), abs=1e-4)


@pytest.mark.integration
def test_a_cache_that_becomes_too_small_grows(monkeypatch):
    grown, grow = [], engine.grow

    def noted(cache, num_slots):
        grown.append((cache["k"].shape[2], num_slots))
        return grow(cache, num_slots)

    monkeypatch.setattr(engine, "grow", noted)
    # room is planned for the right answers, and those that are written are longer
    narrow = played("nursery", 4, (1, 1, 1), tuple(range(16, LENGTH + 1, 4)))
    assert grown and all(before < after for before, after in grown)
    assert narrow[0] == played("nursery")[0]


@pytest.mark.integration
def test_scores_of_a_last_answer_take_the_records_own_history():
    predictor = make_tiny_predictor("nursery", batch_size=1)
    asked = round_record(DIALOGUES[2], ["the dog", "b"])
    with jax.set_mesh(predictor.reader.mesh):
        scores = score_last(predictor.reader, asked, OFFERED)
    alone = [score_alone("nursery", predictor.reader, asked, t) for t in OFFERED]
    assert scores == pytest.approx(alone, abs=1e-4)


@pytest.mark.integration
def test_what_is_scored_stands_before_the_end_that_closes_a_prompt():
    predictor = make_tiny_predictor("nursery", template="plain_wrapped")
    reader, item = predictor.reader, DIALOGUES[1]
    with jax.set_mesh(reader.mesh):
        ((reply,),), ((values,),) = predictor.answer([item], [[OFFERED]])
    assert reply == write_alone("nursery", reader, item)
    alone = []
    for text in OFFERED:
        turns = (item.turns[0], ("assistant", text))
        whole = reader.encode(Record("x", "x", item.images, turns), answer=True)
        said = log_probs("nursery", whole)[np.arange(len(whole.tokens)), whole.targets]
        alone.append(said[whole.loss_mask].sum())
    assert values == pytest.approx(alone, abs=1e-4)
    assert abs(values[0] - values[1]) > 0.01  # of "a" and "b" only the end is scored


def test_a_template_that_rewrites_history_is_refused():
    reader = make_predictor().reader
    first = reader.encode(round_record(DIALOGUES[0], []), answer=False)
    other = reader.encode(round_record(DIALOGUES[1], []), answer=False)
    check_prefix(first, first)
    with pytest.raises(UserError, match=r"'d1'.*baby_v1"):
        check_prefix(
            type(first)(**{**vars(first), "tokens": first.tokens[::-1]}), other
        )
