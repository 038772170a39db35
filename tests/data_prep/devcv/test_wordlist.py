"""Lists of words in all their forms."""

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv.vocabulary import normal, read_words


def test_normal_form():
    assert normal("Toy_Cup") == "toy cup"
    assert normal("fish (animal)") == "fish"
    assert normal("baa baa*") == "baa baa"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Cup\n\ncouch/sofa\n", {"cup": None, "couch": None, "sofa": None}),
        (
            "num_id,item_definition,category\n1,fish (animal),animals\n2,cup,\n3\n",
            {"fish": "animals", "cup": None},
        ),
        ("word\tcategory\ncup\tkitchen\n", {"cup": "kitchen"}),
    ],
)
def test_lists(tmp_path, text, words):
    (tmp_path / "words").write_text(text)
    assert read_words(tmp_path / "words") == words


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "no column is called word"),
        (b"*\n", "holds no word"),
        (b"word,category\n" + b"x" * 200_000 + b",y\n", "not a table"),
        (b"\xff\xfe\x00", "not a text file"),
        (None, "cannot be read"),
    ],
)
def test_bad_lists(tmp_path, content, message):
    path = tmp_path / "words"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_words(path)
