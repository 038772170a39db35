import numpy as np
import pytest

from babyvlm_jax.data.images import encode_png
from babyvlm_jax.evals import controls
from babyvlm_jax.evals.tasks import TASKS
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS, SAME, THREE, memory, record


def test_no_image_hides_even_which_are_equal():
    grey = controls.no_image(ITEMS["leftright"])
    assert len(grey.images) == 4
    assert set(grey.images) == {controls.GREY}
    assert grey.turns == ITEMS["leftright"].turns


def test_no_text_leaves_pictures_and_the_hidden_answer():
    bare = controls.no_text(ITEMS["leftright"])
    assert bare.turns == (
        ("human", "<image> <image> <image> <image>"),
        ("assistant", "B"),
    )


def test_shuffled_pictures_come_from_the_next_item_of_a_kind():
    text = "<image> How many of cup do you see?"
    a, b, c = (record("count", text, "1", name=n, first=k) for k, n in enumerate("abc"))
    two = record("count", "<image><image>", "1", 2, name="d")
    shuffled = controls.shuffle_images([c, a, two, b])
    assert shuffled["a"].images == b.images
    assert shuffled["b"].images == c.images
    assert shuffled["c"].images == a.images
    assert shuffled["d"].images == (controls.GREY,) * 2  # the only one with two
    assert shuffled["a"].turns == a.turns


def test_variants_by_name():
    items = [ITEMS["count"], record("count", "<image>?", "2", name="b", first=9)]
    make = controls.make_variants(controls.VARIANTS, items)
    assert make("no_image", items[0]).images == (controls.GREY,)
    assert make("no_text", items[0]).turns[0] == ("human", "<image>")
    assert make("shuffled_image", items[0]).images == items[1].images


def test_prior_takes_the_likeliest_of_what_is_offered():
    sides = ("top", "left", "right", "top")
    asked = "Go 'top', 'left' or 'right'?"
    train = [record("vdr_binary", asked, side, images=0) for side in sides]
    counts = controls.count_answers(train)
    assert counts == {"top": 2, "left": 1, "right": 1}
    # neither side of the item is "top"; of equals the first in the ring
    assert controls.likeliest(TASKS["vdr_binary"], ITEMS["vdr_binary"], counts) == [
        "right"
    ]


def noise(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)


def test_pixels_find_the_copy_of_the_query():
    query = noise(0)
    shown = [query, query[:, ::-1], query, query[::-1]]
    item = record("leftright", SAME + THREE, "B", 4)
    item = type(item)(**{**vars(item), "images": tuple(map(encode_png, shown))})
    assert controls.match_pixels(item) == ["B"]


def test_pixels_find_the_new_picture_of_a_dialogue():
    assert controls.match_pixels(memory(6)) == ["A", *"BBBBB"]


@pytest.mark.parametrize(
    "name", ["count", "localize", "picture_vocabulary", "vdr_open"]
)
def test_pixels_do_not_answer_other_tasks(name):
    assert controls.match_pixels(ITEMS[name]) is None


def test_look_and_distance():
    black, white = controls.look(picture(0)), controls.look(picture(255))
    assert len(black) == 32 * 32 + 3 * 8
    assert controls.distance(black, black) == 0
    # every pixel off by 1; a histogram moves its all from the first bin to the last
    assert controls.distance(black, white) == pytest.approx(1 + 2 / 8)


def test_constant_is_the_same_in_each_round():
    assert controls.constant("A", memory(6)) == ["A"] * 6
    assert controls.constant_answers(TASKS["memory"], [memory(6)]) == ["A", "B"]
