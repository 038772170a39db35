"""Word vectors from text and from files."""

import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv.vocabulary import learn, of_word, read_vectors

LINES = [
    f"{start} the {noun} {end}"
    for nouns, start, end in (
        (("dog", "cat", "cow"), "pet", "runs home"),
        (("cup", "mug", "jar"), "drink from", "with milk"),
    )
    for noun in nouns
    for _ in range(4)
]


def test_words_in_like_company_are_alike():
    vectors = learn(LINES)
    assert np.isclose(np.linalg.norm(vectors["dog"]), 1)
    assert vectors["dog"] @ vectors["cat"] > vectors["dog"] @ vectors["cup"] + 0.3
    again = learn(LINES)
    np.testing.assert_array_equal(vectors["dog"], again["dog"])


def test_too_little_text():
    with pytest.raises(UserError, match="2 words that occur twice"):
        learn(["a b", "a b", "c"])


def test_files(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("2 3\nCup 3 0 4\nmug 0 2 0\n")
    found = read_vectors(path)
    np.testing.assert_allclose(found["cup"], [0.6, 0, 0.8])
    np.testing.assert_allclose(of_word("Cup_mug", found), [0.3, 0.5, 0.4])
    assert of_word("dog", found) is None


@pytest.mark.parametrize("line", ["dog 1 2", "dog 1 x 2", "dog nan 1 2"])
def test_bad_files(tmp_path, line):
    path = tmp_path / "vectors.txt"
    path.write_text(f"cup 1 0 0\n{line}\n")
    with pytest.raises(UserError, match="line 2 is no word and 3 numbers"):
        read_vectors(path)
