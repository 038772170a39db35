"""V1's word list: the clean form, and each fault of the original behind its flag."""

import pytest

from babyvlm_jax.data.tokenizer import Tokenizer, main
from babyvlm_jax.data.words import WordSettings, WordTokenizer, train_words
from babyvlm_jax.runtime.errors import UserError

# "ball" 4, "the" and "do" 3, "n't" 3, "kite" 2
TEXTS = ["the ball do n't", "the ball do n't kite", "the ball do n't kite", "ball"]
FILE = b"""# words {"lower": true, "split": "blanks", "unknown": "keep"}
<pad>
<unk>
<sos>
<eos>
ball
do
n't
the
"""


def made(**flags):
    return WordTokenizer(train_words(TEXTS, 3, WordSettings(**flags)))


def test_words_by_frequency_then_alphabet():
    assert train_words(TEXTS, 3) == FILE
    tokenizer = WordTokenizer(FILE)
    assert tokenizer.vocab_size == 8
    specials = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.sos_id, tokenizer.eos_id)
    assert specials == (0, 1, 2, 3)


def test_the_clean_form():
    tokenizer = WordTokenizer(FILE)
    assert tokenizer.encode("  Do n't  kite the BALL ") == [5, 6, 1, 7, 4]
    assert tokenizer.pieces("do kite") == ["do", "<unk>"]
    assert tokenizer.decode([2, 5, 6, 1, 4, 3, 0]) == "do n't <unk> ball"
    assert tokenizer.encode("") == []
    assert tokenizer.encode("<eos> ball") == [1, 4]


def test_trap_a_the_regex_never_yields_clitics():
    text = ["n't n't n't ball. ball. ball."]
    listed = WordTokenizer(train_words(text, 1)).encode("n't ball.")
    assert listed == [5, 4]
    by_regex = WordTokenizer(
        b'# words {"lower": true, "split": "regex", "unknown": "keep"}\n'
        + b"<pad>\n<unk>\n<sos>\n<eos>\nn't\nball\n.\nn\n"
    )
    assert by_regex.encode("n't ball.") == [7, 1, 1, 5, 6]


def test_trap_c_unknown_words_vanish():
    assert made(unknown="drop").encode("the kite ball") == [7, 4]


def test_trap_d_capitals_are_unknown():
    assert made(lower=False).encode("The ball") == [1, 4]


def test_bad_input(tmp_path):
    with pytest.raises(UserError, match=r"split is 'tabs'; expected one of"):
        WordSettings(split="tabs")
    with pytest.raises(UserError, match="no word of the corpus comes 9 times"):
        train_words(TEXTS, 9)
    for content, why in (
        (FILE.replace(b"<sos>\n", b""), "its first words are"),
        (FILE + b"ball\n", "a word comes twice"),
        (FILE.replace(b"blanks", b"tabs"), "split is 'tabs'"),
    ):
        path = tmp_path / "words.txt"
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"not a usable tokenizer .*{why}"):
            Tokenizer.load(path)


def test_command(world, tmp_path, capsys):
    out = tmp_path / "words.txt"
    with pytest.raises(SystemExit) as stop:
        main([f"--shards={world.shards}", f"--out={out}", "--kind=words",
              "--min-count=20"])  # fmt: skip
    assert stop.value.code == 0
    assert "9 pieces from 40 utterances" in capsys.readouterr().out
    loaded = Tokenizer.load(out)
    assert loaded.pieces("Look at the red dog") == ["look", "at", "the", "red", "<unk>"]
