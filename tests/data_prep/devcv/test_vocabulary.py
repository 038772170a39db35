"""Similar words, and what is put beside a word."""

import collections
import dataclasses

import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv.tasks import TASKS
from data_prep.devcv.vocabulary import Vocabulary, edits, read_sounds, vocabulary

WORDS = {"cup": "kitchen", "cap": "clothes", "bowl": "kitchen", "tree": "outside"}


def test_edits():
    assert edits("cup", "cap") == 1 and edits("", "cap") == 3
    assert edits("kitten", "sitting") == 3


def test_meaning_is_of_vectors_or_else_of_categories():
    plain = Vocabulary(WORDS, {}, {})
    assert plain.meaning("cup", "bowl") == 1 and plain.meaning("cup", "cap") == 0
    vectors = {"cup": np.array([1.0, 0]), "cap": np.array([0.8, 0.6])}
    known = Vocabulary(WORDS, vectors, {})
    assert known.meaning("cup", "cap") == pytest.approx(0.8)
    assert known.meaning("cup", "tree") == 0


def test_sound_is_of_phonemes_or_else_of_letters():
    plain = Vocabulary(WORDS, {}, {})
    assert plain.sound("cup", "cap") == pytest.approx(2 / 3)
    heard = Vocabulary(WORDS, {}, {"cup": ("K", "AH", "P"), "cap": ("K", "AE", "P")})
    assert heard.sound("cup", "cap") == pytest.approx(2 / 3)
    assert heard.sound("cup", "tree") == 0


def test_similar_words_stand_beside_a_word_more_often():
    known = Vocabulary(WORDS, {}, {})
    rng = np.random.default_rng(0)
    others = ["cap", "bowl", "tree"]
    drawn = [known.beside(rng, "cup", others, 1)[0] for _ in range(600)]
    counts = collections.Counter(drawn)
    # a third each: alike in sound, in meaning; a ninth each from the last third
    assert counts["tree"] == pytest.approx(600 / 9, abs=30)
    assert min(counts["cap"], counts["bowl"]) > 200
    assert sorted(known.beside(rng, "cup", others, 3)) == sorted(others)


def test_settings_are_numbers_and_a_fingerprint():
    assert Vocabulary(WORDS, {}, {"cup": ("K",)}, "abc").settings() == {
        "words": 4,
        "vectors": 0,
        "sounds": 1,
        "fingerprint": "abc",
    }


def test_items_ask_for_listed_words_only(bank, rng, style):
    listed = Vocabulary(dict.fromkeys(["cup", "hat", "key", "car", "moon"]), {}, {})
    made = TASKS["picture_vocabulary"].make(
        bank, rng, 8, dataclasses.replace(style, vocabulary=listed)
    )
    asked = [item.meta for item in made]
    assert {meta["word"] for meta in asked} == {"cup", "hat", "key", "car"}
    assert all(set(m["options"]) == {"cup", "hat", "key", "car"} for m in asked)


def test_pronunciations(tmp_path):
    path = tmp_path / "dict"
    path.write_text(";;; remark\nCUP  K AH1 P\nCUP(1)  K UH1 P\ncap  K AE1 P # hat\n")
    assert read_sounds(path) == {"cup": ("K", "AH", "P"), "cap": ("K", "AE", "P")}
    path.write_text("  # remark\n")
    with pytest.raises(UserError, match="line 1 is not a word and phonemes"):
        read_sounds(path)


def test_flags_make_a_vocabulary(tmp_path):
    (tmp_path / "words").write_text("cup\ncap\n")
    (tmp_path / "text").write_text("a cup here\na cap here\n" * 3)
    (tmp_path / "sounds").write_text("CUP  K AH1 P\nDOG  D AO1 G\n")
    words, text, sounds = (str(tmp_path / n) for n in ("words", "text", "sounds"))
    known = vocabulary(words, None, text, sounds, None)
    assert set(known.vectors) == {"cup", "cap"} and set(known.sounds) == {"cup"}
    assert known.fingerprint == vocabulary(words, None, text, sounds, None).fingerprint
    assert known.fingerprint != vocabulary(words, None, text, None, None).fingerprint
    assert vocabulary(words, None, None, None, None).vectors == {}
    assert vocabulary(None, None, None, None, None) is None
    with pytest.raises(UserError, match="of use with --words=FILE only"):
        vocabulary(None, None, text, None, None)
