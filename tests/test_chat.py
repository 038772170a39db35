"""The terminal dialogue, and answers that stream token by token."""

import dataclasses
import io
import json

import jax
import numpy as np
import pytest

from babyvlm_jax import chat
from babyvlm_jax.chat import make_buckets, make_stream, stream
from babyvlm_jax.data.images import encode_png
from babyvlm_jax.data.schema import HUMAN, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.engine import CheckpointPredictor, detokenize
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.runtime.errors import UserError
from tests import tiny
from tests.interchange.workdirs import make_tokenizer, make_workdir


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("chat")
    make_workdir(made, "nursery")
    for name, grey in (("a", 20), ("b", 200)):
        picture = encode_png(np.full((8, 8, 3), grey, np.uint8))
        (made / f"{name}.png").write_bytes(picture)
    return made


def run(folder, *args) -> int:
    with pytest.raises(SystemExit) as stop:
        chat.main([f"--checkpoint={folder / 'nursery'}", "--max-new-tokens=4", *args])
    return stop.value.code


def test_one_shot(folder, capsys):
    args = ["--json", f"--image={folder / 'a.png'}", f"--image={folder / 'b.png'}"]
    args += ["--ask=which? (a) <image> (b) <image>", "--ask=where is the dog"]
    assert run(folder, *args, "--choices=a, b,ball,", "--top=2") == 0
    found = json.loads(capsys.readouterr().out)
    assert [role for role, _ in found["turns"]] == ["human", "assistant"] * 2
    assert found["answer"] == found["turns"][-1][1]
    scores = [choice["log_likelihood"] for choice in found["choices"]]
    assert len(scores) == 2 and scores[0] >= scores[1] and scores[1] < 0
    assert 0 < sum(choice["share"] for choice in found["choices"]) <= 1


def test_a_dialogue_on_the_terminal(folder, capsys, monkeypatch):
    lines = ["/image nothing.png", f"/image {folder / 'a.png'}", "where is the ball?"]
    lines += ["where is <image>", "/new", "/old", "look", "/quit", "never asked"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    assert run(folder, "--choices=a,b") == 0
    out = capsys.readouterr().out
    assert "error: no image nothing.png" in out
    assert "error: the question has 1 <image> marks for 0 images" in out
    assert "image 1 of the next question" in out
    assert "error: no command /old; there are /image FILE, /new and /quit" in out
    assert out.count("log-likelihood") == 4


def test_words_are_shown_as_they_are_chosen(folder):
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        reader = chat.load_reader(str(folder / "nursery"), mesh)
        asked = chat.add_question(Record("x", "chat"), "where is the dog", [])
        shown = []
        said = chat.answer(reader, asked, 4, shown.append)
    assert "".join(shown) == said.turns[-1][1]
    assert len(list(filter(None, shown))) > 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--json"], "give at least one --ask"),
        (["--ask=x", "--top=0"], "--top=0: it must be at least 1"),
        (["--ask=x", "--image=no.png"], "no image no.png"),
        (["--ask=x", "--tokenizer=no.model"], "no tokenizer no.model"),
    ],
)
def test_mistakes_end_with_one_line(folder, capsys, args, message):
    assert run(folder, *args) == 78
    err = capsys.readouterr().err
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


def test_pictures_stand_at_their_marks_or_in_front():
    empty = Record("x", "chat")
    asked = chat.add_question(empty, "what is it?", [b"1", b"2"])
    assert asked.turns == ((HUMAN, "<image><image> what is it?"),)
    assert asked.images == (b"1", b"2")
    marked = chat.add_question(empty, "(a) <image> (b)", [b"1"])
    assert marked.turns == ((HUMAN, "(a) <image> (b)"),)
    with pytest.raises(UserError, match="2 <image> marks for 1 images"):
        chat.add_question(empty, "<image> <image>", [b"1"])


NUM_TOKENS = 6
BUCKETS = (32, 64)


@pytest.fixture
def reader():
    bench, mesh = tiny.bench("nursery"), tiny.mesh_of()
    words = Tokenizer.parse(make_tokenizer(), "test")
    with jax.set_mesh(mesh):
        yield Reader(
            *(bench.model, bench.params, words, "baby_v1"),
            tokens_per_image=1,
            image_size=8,
            batch_size=2,
            buckets=BUCKETS,
            mesh=mesh,
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
