"""tokenizer.json files of every kind: the ids of plain text, and never a special's."""

import functools
import json
import random

import pytest
import tokenizers
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from babyvlm_jax.data.conversation import encode
from babyvlm_jax.data.hf_tokenizer import HfTokenizer
from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError

SPECIALS = ["<pad>", "<unk>", "<sos>", "<eos>"]
WORDS = ["user", ":", "assistant", "look", "at", "the", "ball", "dog", "says", "woof",
         "a", "big", "red", "she", "said"]  # fmt: skip
TEXTS = [" ".join(WORDS), "look at the dog", "she said woof"] * 5


def _word_level(cut, specials=SPECIALS, unk="<unk>"):
    vocabulary = {word: i for i, word in enumerate([*specials, *WORDS])}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=unk))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = cut
    made.add_special_tokens([AddedToken(s, normalized=False) for s in specials])
    return made


def _trained(model, trainer, cut, decoder=None):
    made = tokenizers.Tokenizer(model)
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer, made.decoder = cut, decoder or decoders.ByteLevel()
    made.train_from_iterator(TEXTS, trainer)
    return made


def _byte_level(prefix, specials=SPECIALS, unk="<unk>"):
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=specials,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    cut = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    return _trained(models.BPE(unk_token=unk), trainer, cut)


def _unigram():
    trainer = trainers.UnigramTrainer(
        vocab_size=80, special_tokens=SPECIALS, unk_token="<unk>", show_progress=False
    )
    return _trained(models.Unigram(), trainer, pre_tokenizers.Metaspace())


def _word_piece():
    made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "<s>", "</s>"]
    made.train_from_iterator(
        TEXTS,
        trainers.WordPieceTrainer(
            vocab_size=90, special_tokens=names, show_progress=False
        ),
    )
    return made


def _merged_to_a_special():
    """A BPE whose merges lead from letters to the special's own name."""
    letters = {letter: 4 + i for i, letter in enumerate("<eos>tha")}
    vocabulary = dict.fromkeys(SPECIALS) | letters | {"<e": 12, "<eo": 13, "<eos": 14}
    vocabulary |= {name: i for i, name in enumerate(SPECIALS)}
    merges = [("<", "e"), ("<e", "o"), ("<eo", "s"), ("<eos", ">")]
    return tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))


@functools.cache
def families() -> dict[str, str]:
    """Kind -> tokenizer.json."""
    blanks, marks = pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Whitespace()
    made = {
        "word level": _word_level(marks),
        "word level, cut at blanks": _word_level(blanks),
        "truncation": _word_level(marks),
        "padding": _word_level(marks),
        "template": _word_level(marks),
        "added words": _word_level(marks),
        "not marked as special": _word_level(blanks),
        "byte level": _byte_level(False),
        "byte level, prefix": _byte_level(True),
        "roberta": _byte_level(False),
        "one token for pad, unk, eos": _byte_level(
            False, ["<|startoftext|>", "<|endoftext|>"], "<|endoftext|>"
        ),
        "unigram": _unigram(),
        "word piece": _word_piece(),
        "merged to a special": _merged_to_a_special(),
    }
    made["truncation"].enable_truncation(4)
    made["padding"].enable_padding(length=12, pad_id=0, pad_token="<pad>")
    made["template"].post_processor = processors.TemplateProcessing(
        single="<sos> $A <eos>", special_tokens=[("<sos>", 2), ("<eos>", 3)]
    )
    made["roberta"].post_processor = processors.RobertaProcessing(
        ("<eos>", 3), ("<sos>", 2)
    )
    made["added words"].add_tokens(
        [
            AddedToken("woofwoof", single_word=True),
            AddedToken("(a)", lstrip=True, rstrip=True),
        ]
    )
    made["added words"].add_special_tokens(["<mask>", "<|user|>"])
    files = {kind: one.to_str() for kind, one in made.items()}
    content = json.loads(files["not marked as special"])
    content["added_tokens"][3]["special"] = False
    files["not marked as special"] = json.dumps(content)
    return files


KINDS = list(families())


def _text(rng, parts):
    return "".join(rng.choice(parts) for _ in range(rng.randrange(25)))


@pytest.mark.parametrize("kind", KINDS)
def test_plain_text_has_the_ids_of_the_library(kind):
    file = families()[kind]
    ours, theirs = HfTokenizer(file.encode()), tokenizers.Tokenizer.from_str(file)
    theirs.no_truncation()
    theirs.no_padding()
    rng = random.Random(0)
    parts = [f" {word}" for word in WORDS] + [*WORDS, "  ", "\n", "(a)", " woofwoof"]
    parts += ["\u00e9", "A", "'s", "\0", "\u72ac", "<", ">"]
    for _ in range(200):
        text = _text(rng, parts)
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, (
            repr(text)
        )
    assert ours.vocab_size == theirs.get_vocab_size()
    ids = ours.encode("look at the ball")
    assert ours.pieces("look at the ball") == [ours.name(index) for index in ids]
    assert ours.decode([ours.sos_id, *ids, ours.eos_id]) == ours.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_of_a_special_in_a_text_is_words(kind):
    """Every id of a text is one that some text without a special's name gives."""
    file = families()[kind]
    ours = HfTokenizer(file.encode())
    added = json.loads(file)["added_tokens"]
    specials = {ours.pad_id, ours.sos_id, ours.eos_id} - {ours.unk_id}
    specials |= {token["id"] for token in added if token["special"]} - {ours.unk_id}
    names = [ours.name(index) for index in specials | {ours.unk_id}]
    rng = random.Random(1)
    parts = [*names, *(f" {name} " for name in names), *map(str.upper, names), " ball"]
    for _ in range(200):
        text = _text(rng, parts)
        assert not specials & set(ours.encode(text)), repr(text)
    around = ours.encode(f"look {names[0]}")
    assert around[: len(ours.encode("look"))] == ours.encode("look")
    assert len(around) > len(ours.encode("look"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_an_answer_is_learnt(kind):
    tokenizer = HfTokenizer(families()[kind].encode())
    turns = (("human", "where?"), ("assistant", "the ball"), ("human", "look"))
    record = Record("r", "text", (), (*turns, ("assistant", "zyx")))
    for template in ("baby_v1", "baby_plain"):
        one = encode(record, tokenizer, template, 1)
        assert one.targets[-1] == tokenizer.eos_id and one.loss_mask[-1]
        assert (one.loss_mask & (one.targets == tokenizer.eos_id)).sum() == 2


def test_unknown_words_are_masked_beside_an_end_with_their_id():
    file = _word_level(
        pre_tokenizers.Whitespace(),
        ["<|startoftext|>", "<|endoftext|>"],
        "<|endoftext|>",
    )
    tokenizer = HfTokenizer(file.to_str().encode())
    assert tokenizer.unk_id == tokenizer.eos_id
    record = Record("r", "text", (), (("assistant", "the zyx ball"),))
    one = encode(record, tokenizer, "baby_plain", 1)
    assert list(one.loss_mask) == [True, False, True, True]


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    file = families()["word level"].encode()
    one = Tokenizer.parse(b"\xef\xbb\xbf\n" + file, "t.json")
    assert one.encode("the dog") == HfTokenizer(file).encode("the dog")
    with pytest.raises(UserError, match="cannot be read"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_that_cannot_take_every_text_is_refused(tmp_path):
    content = json.loads(families()["unigram"])
    content["model"]["unk_id"] = None
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="not a usable tokenizer"):
        Tokenizer.load(path)


ODD = (None, True, -1, 0, 2**70, 1e308, float("nan"), "", "a", "<eos>", [], {}, [[]],
       {"a": -1}, ["a", "b"], {"type": "Sequence"}, {"type": "BPE"})  # fmt: skip


def _mutated(rng, value, depth=0):
    if depth > 5 or rng.random() < 0.1:
        return rng.choice(ODD)
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _mutated(rng, value[key], depth + 1)}
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        return [*value[:place], _mutated(rng, value[place], depth + 1),
                *value[place + rng.randrange(2):]]  # fmt: skip
    return rng.choice(ODD)


@pytest.mark.parametrize("kind", ["added words", "roberta", "unigram", "word piece"])
def test_a_damaged_file_is_refused_or_works(kind):
    rng = random.Random(2)
    content = json.loads(families()[kind])
    refused = 0
    for _ in range(100):
        changed = _mutated(rng, content)
        try:
            one = Tokenizer.parse(json.dumps(changed).encode(), "made.json")
        except UserError as error:
            assert str(error).startswith("made.json is not a usable tokenizer")
            refused += 1
            continue
        ids = one.encode("the \u72ac says <eos>")
        assert all(0 <= index < one.vocab_size for index in ids)
        assert len({one.name(i) for i in (one.pad_id, one.eos_id)}) in (1, 2)
        one.decode(ids)
    assert 10 < refused < 100
