"""Tokenizers of Hugging Face's format: ours converted, and imported ones."""

import json
import random
import string

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from babyvlm_jax.data import hf_tokenizer, tokenizer
from babyvlm_jax.data.hf_tokenizer import HfTokenizer
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError

TEXTS = ["look at the red ball", "where is the ball", "a dog; don't!"] * 20
WIDE = "\uff21\uff11\uff76\u2026\u2605\u72ac\U0001f476"
SYMBOLS = ["user:", "assistant:", "(a)", "(b)"]


@pytest.fixture(scope="module")
def sentencepiece():
    return tokenizer.train(TEXTS, 150, SYMBOLS)


@pytest.fixture(scope="module")
def converted(sentencepiece):
    return hf_tokenizer.from_sentencepiece(sentencepiece)


def byte_level() -> tokenizers.Tokenizer:
    """A tokenizer as BabyVLM-V2 makes them, trained with the library."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<unk>", "<sos>", "<eos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=specials,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return made


def random_text(rng, alphabet) -> str:
    parts = (*SYMBOLS, "Ball", "the ", " dog", "  ", "\n", "user:x(a)y")
    return "".join(
        rng.choice((rng.choice(parts), rng.choice(alphabet)))
        for _ in range(rng.randrange(12))
    )


def test_a_converted_tokenizer_gives_the_same_ids(sentencepiece, converted):
    ours, theirs = Tokenizer(sentencepiece), HfTokenizer(converted.encode())
    rng = random.Random(0)
    latin = [chr(i) for i in range(0x20, 0x250)] + list(WIDE)
    texts = [random_text(rng, string.printable) for _ in range(2000)]
    texts += [random_text(rng, latin) for _ in range(2000)]
    texts += ["e\u0301", "E\u0301cole", "Q\u0301q\u0301", "\uff21B\u0308"]
    for text in texts:
        assert theirs.encode(text) == ours.encode(text), repr(text)
    assert theirs.vocab_size == ours.vocab_size
    assert theirs.decode(theirs.encode("USER: (A) ball")) == "user: (a) ball"
    assert theirs.pieces("USER: (A)") == ["▁user:", "▁(a)"]


def test_the_image_token_comes_and_goes(converted):
    plain = HfTokenizer(converted.encode())
    image_id = plain.vocab_size + 2
    text = hf_tokenizer.with_image_token(converted, image_id)
    whole = tokenizers.Tokenizer.from_str(text)
    assert whole.encode("ball (A) <image><image>dog").ids == [
        plain.sos_id,
        *plain.encode("ball (A)"),
        image_id,
        image_id,
        *plain.encode("dog"),
    ]
    back = HfTokenizer(hf_tokenizer.without_image_token(text.encode()))
    assert back.vocab_size == plain.vocab_size
    assert back.encode("ball") == plain.encode("ball")
    untouched = converted.encode()
    assert hf_tokenizer.without_image_token(untouched) is untouched


def test_a_byte_level_file_gives_the_library_s_ids(tmp_path):
    made = byte_level()
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    ours = Tokenizer.load(path)
    assert (ours.pad_id, ours.unk_id, ours.sos_id, ours.eos_id) == (0, 1, 2, 3)
    assert ours.vocab_size == made.get_vocab_size()
    rng = random.Random(1)
    every = [chr(rng.randrange(1, 0xD7FF)) for _ in range(500)]
    for _ in range(500):
        text = random_text(rng, every)
        ids = made.encode(text, add_special_tokens=False).ids
        assert ours.encode(text) == ids
        assert ours.decode(ids) == made.decode(ids)
    assert ours.encode("BALL") == ours.encode("ball")


def test_a_chunk_is_encoded_as_within_the_whole():
    ours = HfTokenizer(byte_level().to_str().encode())
    whole = ours.encode("USER: a ball  ASSISTANT: the dog")
    parts = ("USER: a ball ", "ASSISTANT:", "the dog")
    assert whole == [i for part in parts for i in ours.encode(part)]


def test_unusable_files_are_refused(tmp_path, sentencepiece):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="not a usable tokenizer"):
        Tokenizer.load(path)
    content = json.loads(byte_level().to_str())
    content["added_tokens"] = []
    content["model"]["unk_token"] = None
    del content["model"]["vocab"]["<sos>"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="no sos token"):
        Tokenizer.load(path)
