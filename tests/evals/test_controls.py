"""Altered items, and answerers that need no model."""

import numpy as np
import pytest

from babyvlm_jax.data.images import encode_png
from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.evals import controls
from babyvlm_jax.evals.controls import best_constant, control_lines, guess
from babyvlm_jax.evals.items import ItemSet, Problem
from babyvlm_jax.evals.run import report_problems
from babyvlm_jax.evals.scoring import chance_metrics
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS, QUADRANTS, SAME, THREE, memory, record


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
    assert {name: one.images for name, one in shuffled.items()} == {
        "a": b.images,
        "b": c.images,
        "c": a.images,
        "d": (controls.GREY,) * 2,  # the only one with two
    }
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


@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("memory", [memory(15), memory(6, name="m6", labels=False)]),
        ("vdr_open", [ITEMS["vdr_open"]] * 2),
        ("vdr_binary", [ITEMS["vdr_binary"]]),
    ],
)
def test_guessers_score_chance_on_average(name, items):
    task = TASKS[name]
    found = guess(task, items, seed=0)
    assert set(found) == set(task.metrics)
    for metric, values in found.items():
        chance = np.mean([chance_metrics(task, item)[metric] for item in items])
        # four standard errors of a mean of 10,000 values in [0, 1]
        assert values.mean() == pytest.approx(chance, abs=4 * 0.5 / 100)
        again = guess(task, items, seed=0)[metric]
        assert (values == again).all()


def test_a_dialogue_has_more_spread_than_its_objects_alone():
    """Six rounds of b = 2: an object needs both of its rounds, so 0, 1/2 or 1."""
    found = guess(TASKS["memory"], [memory(6)], seed=0)["adjusted"]
    assert sorted(set(found)) == [0, 0.5, 1]
    assert (found == 1).mean() == pytest.approx(1 / 16, abs=0.01)


def test_right_or_wrong_items_need_no_simulation():
    assert guess(TASKS["count"], [ITEMS["count"]], seed=0) == {}


LOCALIZE = TASKS["localize"]
PLACED = [record("localize", QUADRANTS, a, name=f"i{k}") for k, a in enumerate("AAABC")]


def test_best_constant_answer():
    assert best_constant(LOCALIZE, PLACED) == "A"
    # always B is right in every round but the first, which asks for A
    assert best_constant(TASKS["memory"], [memory(6)]) == "B"


def test_controls_without_a_model(tmp_path):
    train = [record("localize", QUADRANTS, "C", name="t")]
    write_dataset(tmp_path, LOCALIZE.dataset, {"train": train, "test": PLACED}, "tests")
    lines = control_lines(ItemSet("nih", str(tmp_path), LOCALIZE, "test"), PLACED)
    found = {}
    for line in lines:
        assert (line["source"], line["protocol"]) == ("nih", "")
        found.setdefault(line["control"], []).append(line["correct"])
    assert found == {
        "constant": [True, True, True, False, False],
        "prior": [False, False, False, False, True],  # what training makes likeliest
    }


def test_problems_are_named_and_counted(capsys):
    problems = [Problem("count", f"c{k}", "no picture") for k in range(5)]
    report_problems(problems, strict=False)
    assert capsys.readouterr().out.splitlines() == [
        "left out: count, item 'c0': no picture",
        "left out: count, item 'c1': no picture",
        "left out: count, item 'c2': no picture",
        "left out: 2 more of count",
    ]
    with pytest.raises(UserError, match="5 problems, the first: count, item 'c0'"):
        report_problems(problems, strict=True)
    report_problems([], strict=True)
