"""Training is deterministic and complete; files are checked when loaded."""

import pytest
from sentencepiece import sentencepiece_model_pb2

from babyvlm_jax.data import tokenizer
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError

TEXTS = ["look at the red ball", "where is the ball", "a dog"] * 20


def train(symbols=()):
    return Tokenizer(tokenizer.train(TEXTS, 120, symbols))


def command(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        tokenizer.main(args)
    return stop.value.code, *capsys.readouterr()


def test_special_ids_and_case():
    made = train()
    assert (made.pad_id, made.unk_id, made.sos_id, made.eos_id) == (0, 1, 2, 3)
    assert made.encode("  The RED\n ball ") == made.encode("the red ball")
    assert made.decode(made.encode("Where is the dog")) == "where is the dog"
    assert made.encode("") == made.encode(" ") == []


def test_letters_digits_and_punctuation_are_never_unknown():
    made = train()
    text = "answer (c) with '12 34 567 890' : zebra, quick fox? jumps-over!"
    assert made.unk_id not in made.encode(text)
    assert made.encode("é")[-1] == made.unk_id


def test_symbols_are_one_piece_each():
    made = train(["user:", "assistant:", "(a)", "(b)"])
    assert made.pieces("USER: (A) ball (b)") == ["▁user:", "▁(a)", "▁ball", "▁(b)"]
    assert made.pieces(" ASSISTANT:") == ["▁assistant:"]
    assert len(train().pieces("(a)")) > 1
    assert made.decode(made.encode("USER: (A)")) == "user: (a)"


def test_chunks_cut_at_blanks_are_the_pieces_of_the_whole():
    made = train(["user:"])
    assert made.encode("USER: look at") + made.encode("the ball") == made.encode(
        "USER: look at the ball"
    )


def test_training_is_deterministic():
    first, second = tokenizer.train(TEXTS, 120), tokenizer.train(TEXTS, 120)
    assert first == second
    assert Tokenizer(first).fingerprint != train(["(a)"]).fingerprint


def test_the_size_is_an_upper_bound():
    assert Tokenizer(tokenizer.train(TEXTS, 6000)).vocab_size < 200
    assert Tokenizer(tokenizer.train(TEXTS, 90)).vocab_size == 90


@pytest.mark.parametrize(
    "long",
    ["quokka wombat " * 700, "quokka\u3000" * 2000, "\u2585 quokka " * 9,
     "z" * 5000 + " quokka" * 20, "\ufdfa" * 5000 + " quokka" * 20],
)  # fmt: skip
def test_no_line_is_dropped_from_the_training(long):
    made = Tokenizer(tokenizer.train([*TEXTS, long], 300))
    assert made.pieces("quokka") == ["\u2581quokka"]


def test_a_long_line_counts_as_its_words():
    words = ["where is the quokka"] * 900
    long, short = ([*TEXTS, *more] for more in ([" ".join(words)], words))
    made = [Tokenizer(tokenizer.train(texts, 150)) for texts in (long, short)]
    names = [[one.name(i) for i in range(one.vocab_size)] for one in made]
    assert names[0] == names[1]


def test_the_name_of_a_special_in_a_text_is_words():
    made = train(["user:"])
    for name in ("<pad>", "<sos>", "<eos>"):
        ids = made.encode(f"USER:{name} the {name}.")
        assert not {made.pad_id, made.sos_id, made.eos_id} & set(ids)


def test_a_file_whose_specials_are_found_in_a_text_is_refused():
    proto = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.train(TEXTS, 90))
    proto.pieces[3].type = proto.pieces[3].USER_DEFINED
    with pytest.raises(UserError, match="<eos> would be found in a text"):
        Tokenizer.parse(proto.SerializeToString(), "t.model")


def test_bad_training_input():
    with pytest.raises(UserError, match="the corpus has none"):
        tokenizer.train([" "], 100)
    with pytest.raises(UserError, match="larger --vocab-size"):
        tokenizer.train(TEXTS, 20)
    for symbol in ("(A)", "a b"):
        with pytest.raises(UserError, match="one lower-case word"):
            tokenizer.train(TEXTS, 100, [symbol])


def test_bad_files(tmp_path):
    path = tmp_path / "t.model"
    with pytest.raises(UserError, match="no tokenizer"):
        Tokenizer.load(path)
    path.write_bytes(b"not a model")
    with pytest.raises(UserError, match="not a usable tokenizer"):
        Tokenizer.load(path)


def test_command(world, tmp_path, capsys):
    args = (f"--shards={world.shards}", f"--out={tmp_path}/t.model", "--vocab-size=90")
    code, out, _ = command(capsys, *args, "--symbols=user:,(a)")
    assert code == 0 and "from 40 utterances" in out
    made = Tokenizer.load(tmp_path / "t.model")
    assert len(made.encode("USER: (a)")) == 2

    code, out, _ = command(capsys, *args, "--symbols=user:,(a)")
    assert (code, out) == (0, f"{tmp_path}/t.model is already there\n")
    code, _, told = command(capsys, *args)
    assert code == 78 and "made with other settings" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.json", "t.model"]


def test_a_quoted_word_is_the_piece_that_was_heard():
    made = train()
    assert made.pieces("at 'ball'")[-2:] == ["▁ball", "'"]
    assert made.pieces('"the dog" (') == made.pieces('" the dog" (')
    assert made.encode("don't") != made.encode("don' t")
    assert made.decode(made.encode("a 'red ball'.")) == "a ' red ball'."
