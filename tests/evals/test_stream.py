"""Answers that stream are those of `generate`, from two programs a bucket."""

import dataclasses

import jax
import numpy as np
import pytest

from babyvlm_jax.data.images import encode_png
from babyvlm_jax.data.schema import HUMAN, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.engine import detokenize, make_buckets, make_stream, stream
from babyvlm_jax.evals.predictors import CheckpointPredictor
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.runtime.errors import UserError
from tests import tiny
from tests.interchange.workdirs import make_tokenizer

NUM_TOKENS = 6
BUCKETS = (32, 64)


@pytest.fixture(autouse=True)
def one_device():
    with jax.set_mesh(tiny.mesh_of()):
        yield


@pytest.fixture(scope="module")
def reader():
    bench = tiny.bench("nursery")
    return Reader(
        model=bench.model,
        params=bench.params,
        tokenizer=Tokenizer.parse(make_tokenizer(), "test"),
        template="baby_v1",
        tokens_per_image=1,
        image_size=8,
        batch_size=2,
        buckets=BUCKETS,
        mesh=tiny.mesh_of(),
    )


def question(number: int, text: str) -> Record:
    picture = encode_png(np.full((8, 8, 3), 40 * number, np.uint8))
    marks = text.count("<image>")
    return Record(f"q{number}", "test", (picture,) * marks, ((HUMAN, text),))


LONG = "where is the red dog? look at the ball! " * 2
QUESTIONS = [
    question(0, "<image> where is the ball?"),
    question(1, "look at the dog"),
    question(2, f"<image> (a) <image> or (b)? {LONG}"),
]


def test_buckets_hold_pictures_and_text():
    assert make_buckets(1) == (256,)
    assert make_buckets(197) == (384, 1024, 3328)


@pytest.mark.integration
def test_a_batch_streams_what_generate_says(reader):
    replies = CheckpointPredictor(reader, NUM_TOKENS).generate(QUESTIONS)
    said = [texts[0] for texts in replies]
    for chosen in ([0, 1], [2, 0], [2]):
        steps = list(stream(reader, [QUESTIONS[i] for i in chosen], NUM_TOKENS))
        assert 1 <= len(steps) <= NUM_TOKENS
        for row, index in enumerate(chosen):
            ids = np.array([step[row] for step in steps])
            assert detokenize(reader.tokenizer, ids) == said[index]


@pytest.mark.integration
def test_one_compile_a_bucket(reader):
    model = reader.model
    programs = make_stream(model.prefill, model.decode_step, NUM_TOKENS)
    for program in programs:
        program.clear_cache()
    for record in QUESTIONS * 2:
        list(stream(reader, [record], NUM_TOKENS))
    assert [program._cache_size() for program in programs] == [2, 2]


def test_a_dialogue_beyond_the_context_is_refused(reader):
    model = reader.model
    small = dataclasses.replace(model.config.decoder, max_len=20)
    config = dataclasses.replace(model.config, decoder=small)
    short = dataclasses.replace(reader, model=model._replace(config=config))
    with pytest.raises(UserError, match=r"context holds 14 .* begin a new one"):
        list(stream(short, [QUESTIONS[2]], NUM_TOKENS))
