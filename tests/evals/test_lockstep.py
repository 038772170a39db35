"""Dialogues in lock-step say what each says alone, reading its whole history anew."""

import functools

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from babyvlm_jax.data.rows import collate_prompts
from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals import engine
from babyvlm_jax.evals.engine import (
    CheckpointPredictor,
    check_prefix,
    detokenize,
    score_last,
)
from babyvlm_jax.evals.items import num_rounds, round_record
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.runtime.errors import UserError
from tests import tiny
from tests.evals.fakes import picture
from tests.interchange.workdirs import make_tokenizer

OFFERED = ("a", "b", "the red ball")
NUM_NEW, LENGTH, MOST_IMAGES = 3, 96, 8


def dialogue(number, rounds):
    """Rounds of one picture, then of two, of which one was seen before."""
    turns, images = [], []
    for k in range(rounds):
        images += [picture(40 * number + 7 * k), picture(40 * number)][: 1 + (k > 0)]
        marks = "(a) <image> (b) <image>" if k else "(a) <image>"
        turns += [("human", f"look at the dog {marks}"), ("assistant", "a")]
    return Record(f"d{number}", "eval/memory", tuple(images), tuple(turns))


DIALOGUES = [dialogue(number, rounds) for number, rounds in enumerate((3, 1, 4, 2))]
CHOICES = [[OFFERED] * num_rounds(record) for record in DIALOGUES]


def make_predictor(
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
    predictor = make_predictor(form, batch_size, tiny.mesh_of(*sizes), buckets)
    with jax.set_mesh(predictor.reader.mesh):
        return predictor.answer(DIALOGUES, CHOICES)


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


@pytest.mark.parametrize(
    "form", ["nursery", pytest.param("v1", marks=pytest.mark.slow)]
)
def test_each_dialogue_is_as_when_it_is_read_anew_each_round(form):
    reader = make_predictor(form).reader
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
    predictor = make_predictor("nursery", batch_size=1)
    asked = round_record(DIALOGUES[2], ["the dog", "b"])
    with jax.set_mesh(predictor.reader.mesh):
        scores = score_last(predictor.reader, asked, OFFERED)
    alone = [score_alone("nursery", predictor.reader, asked, t) for t in OFFERED]
    assert scores == pytest.approx(alone, abs=1e-4)


@pytest.mark.integration
def test_what_is_scored_stands_before_the_end_that_closes_a_prompt():
    predictor = make_predictor("nursery", template="plain_wrapped")
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
    reader = make_predictor("nursery").reader
    first = reader.encode(round_record(DIALOGUES[0], []), answer=False)
    other = reader.encode(round_record(DIALOGUES[1], []), answer=False)
    check_prefix(first, first)
    with pytest.raises(UserError, match=r"'d1'.*baby_v1"):
        check_prefix(
            type(first)(**{**vars(first), "tokens": first.tokens[::-1]}), other
        )
