import numpy as np
import pytest

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.evals.asking import num_orders, rotate, rotate_back
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS, memory

QUESTIONS = {name: questions_of(item) for name, item in ITEMS.items()}


def turned(name, shift, item=None):
    item = item or ITEMS[name]
    return rotate(item, questions_of(item), shift)


def test_pictures_move_on_and_the_query_stays():
    assert turned("leftright", 1).images == tuple(map(picture, (0, 3, 1, 2)))
    assert turned("leftright", 1).turns == ITEMS["leftright"].turns
    assert turned("leftright", 3).images == ITEMS["leftright"].images
    assert turned("picture_vocabulary", 1).images == tuple(map(picture, (3, 0, 1, 2)))


def test_quadrants_move_in_the_text():
    text = turned("localize", 1).turns[0][1]
    assert (
        "(A) bottom right or (B) top left or (C) top right or (D) bottom left" in text
    )
    assert turned("localize", 1).images == ITEMS["localize"].images


def test_sides_change_places():
    text = turned("vdr_binary", 1).turns[0][1]
    assert text.endswith(
        "through the left side of the frame or the right side of the frame? respond "
        "ONLY with 'left' or 'right'."
    )
    # each becomes the next on the ring
    text = turned("vdr_open", 1).turns[0][1]
    assert "one of: 'top right', 'bottom left', 'top left', 'bottom right'" in text


def test_each_round_of_a_dialogue_turns_by_itself():
    item = memory(6)
    images = turned("memory", 1, item).images
    assert images[0] == item.images[0]
    assert images[1:3] == item.images[2:0:-1]
    assert turned("memory", 2, item) == item


def test_likelihoods_turn_back():
    # after a shift of 1, what was (A) stands at (B)
    found = [np.array([0.1, 0.7, 0.2]), np.array([1.0])]
    back = rotate_back(QUESTIONS["leftright"] * 2, found, 1)
    assert back[0].tolist() == [0.7, 0.2, 0.1]
    assert back[1].tolist() == [1.0]
    sides = rotate_back(QUESTIONS["vdr_binary"] * 2, found, 1)
    assert sides[0].tolist() == [0.1, 0.7, 0.2]  # answers are the sides themselves


@pytest.mark.parametrize(
    ("name", "number"), [("leftright", 3), ("memory", 2), ("vdr_open", 8), ("count", 1)]
)
def test_number_of_orders(name, number):
    assert num_orders(QUESTIONS[name]) == number
