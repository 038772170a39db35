"""Picture Vocabulary and Looking While Listening."""

import collections
from dataclasses import replace

import pytest

from data_prep.devcv.tasks import TASKS
from tests.data_prep.devcv.world import NOUNS


@pytest.mark.parametrize(
    ("task", "letters"),
    [
        ("picture_vocabulary", "ABCD"),
        ("picture_vocabulary_three", "ABC"),
        ("lwl", "AB"),
    ],
)
def test_items_name_one_of_their_pictures(bank, rng, style, task, letters):
    made = list(TASKS[task].make(bank, rng, 32, style))
    answers = collections.Counter(item.meta["answer"] for item in made)
    assert sorted(answers) == list(letters)
    assert max(answers.values()) - min(answers.values()) <= 1
    words = collections.Counter(item.meta["word"] for item in made)
    assert words == dict.fromkeys(NOUNS, 2)  # round-robin
    for item in made:
        options, word = item.meta["options"], item.meta["word"]
        assert options[letters.index(item.meta["answer"])] == word
        assert len(set(options)) == len(letters) == len(set(item.images))
        assert item.turns[0][1].startswith(f"Touch the image of '{word}' (A)<image>")


def test_saycam_wording_names_the_images(bank, rng, style):
    make = TASKS["picture_vocabulary"].make
    (item,) = make(bank, rng, 1, replace(style, prompts="saycam"))
    assert item.turns[0][1].startswith("<image><image><image><image>\nTouch")
