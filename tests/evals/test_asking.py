"""Protocols, controls and orders, through predictors that record what is asked."""

import dataclasses
import hashlib

import numpy as np
import pytest

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.evals import controls
from babyvlm_jax.evals.asking import (
    Pair,
    ask,
    decide,
    highest,
    match,
    num_orders,
    pairs_of,
    rotate,
    rotate_back,
)
from babyvlm_jax.evals.controls import ask_no_model, control_lines
from babyvlm_jax.evals.items import ItemSet, num_rounds, round_images
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.run import summarize
from babyvlm_jax.evals.scoring import make_line
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from tests.chosen import some
from tests.evals import v1_samples
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS, SAME, THREE, memory, record


class Watched(Predictor):
    """Writes "A"; its likelihoods follow from the option's place and its picture.

    Attributes:
        calls: (method, number of items) in order.
        lean: what it adds for the first option, whatever it shows.
    """

    def __init__(self, lean=0.0):
        self.calls, self.lean = [], lean

    def generate(self, items):
        self.calls.append(("generate", len(items)))
        return [["A"] * num_rounds(item) for item in items]

    def score(self, items, choices):
        self.calls.append(("score", len(items)))
        return [
            [
                np.array(
                    [self.like(images, len(offered), k) for k in range(len(offered))]
                )
                for images, offered in zip(round_images(item), rounds, strict=True)
            ]
            for item, rounds in zip(items, choices, strict=True)
        ]

    def like(self, images, number, place):
        image = images[len(images) - number + place] if len(images) >= number else b""
        return hashlib.sha256(image).digest()[0] / 64 + self.lean * (place == 0)


def asked(name, items, protocols, predictor=None, **how):
    variants = controls.make_variants(how.get("controls", ()), items)
    who = predictor or Watched()
    return ask(who, TASKS[name], items, variants, protocols, **how)


def items(count=3):
    return [
        record("leftright", SAME + THREE, "B", 4, name=f"i{k}", first=10 * k)
        for k in range(count)
    ]


def test_all_forms_go_to_the_predictor_together():
    predictor = Watched()
    both, altered = ("generate", "choice"), ("no_image", "no_text")
    said = asked("leftright", items(), both, predictor, controls=altered)
    assert predictor.calls == [("generate", 9), ("score", 9)]
    assert [(one.control, one.protocol) for one in said[0]] == [
        ("", "generate"),
        ("", "choice"),
        ("no_image", "generate"),
        ("no_image", "choice"),
        ("no_text", "generate"),
        ("no_text", "choice"),
    ]
    plain, blank = said[1][1], said[1][3]
    assert set(blank.likelihoods[0].values()) == {1 / 3}  # three times the same grey
    assert sum(plain.likelihoods[0].values()) == pytest.approx(1)
    best = max(plain.likelihoods[0], key=plain.likelihoods[0].get)
    assert plain.replies == [best]


@pytest.mark.parametrize(
    ("protocols", "calls"),
    [
        (("generate",), [("generate", 3)]),
        (("choice",), [("score", 3)]),
    ],
)
def test_only_what_is_asked_for(protocols, calls):
    predictor = Watched()
    said = asked("leftright", items(), protocols, predictor)
    assert predictor.calls == calls
    assert [one.protocol for one in said[0]] == list(protocols)


def test_orders_take_away_what_a_position_is_liked_for():
    fair = [one[0].likelihoods[0] for one in asked("leftright", items(), ("choice",))]
    predictor = Watched(lean=3.0)
    turned = asked("leftright", items(), ("choice",), predictor, permute=True)
    turned = [one[0] for one in turned]
    assert predictor.calls == [("score", 3)] * 3
    for found, likelihoods in zip(turned, fair, strict=True):
        best = max(likelihoods, key=likelihoods.get)
        assert found.replies == [best]
        assert sum(found.likelihoods[0].values()) == pytest.approx(1)
    leaning = asked("leftright", items(), ("choice",), Watched(lean=9.0))
    assert {one[0].replies[0] for one in leaning} == {"A"}


def test_orders_of_dialogues_and_of_questions_with_one():
    predictor = Watched()
    ((said,),) = asked("memory", [memory(6)], ("choice",), predictor, permute=True)
    assert predictor.calls == [("score", 1), ("score", 1)]
    assert [len(shares) for shares in said.likelihoods] == [1, 2, 2, 2, 2, 2]
    asked("count", [ITEMS["count"]], ("choice",), predictor := Watched(), permute=True)
    assert predictor.calls == [("score", 1)]


def test_match_shows_each_picture_alone_under_the_word():
    ((said,),) = asked("picture_vocabulary", [ITEMS["picture_vocabulary"]], ("match",))
    values = [hashlib.sha256(picture(k)).digest()[0] for k in range(4)]
    assert said.replies == ["ABCD"[int(np.argmax(values))]]
    assert list(said.likelihoods[0]) == list("ABCD")


def test_match_needs_a_word():
    with pytest.raises(UserError, match="picture_vocabulary and lwl"):
        asked("leftright", items(), ("match",))


def test_controls_without_a_model():
    found = ask_no_model(TASKS["count"], [ITEMS["count"]], [ITEMS["count"]] * 2)
    assert found == {"prior": [["7"]]}
    found = ask_no_model(TASKS["memory"], [memory(6)], [])
    assert found == {"pixels": [["A", *"BBBBB"]]}
    odd = record("localize", "<image> where?", "A")
    assert ask_no_model(TASKS["localize"], [odd], [odd]) == {}


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


MAKE = {
    "labeled_s": v1_samples.labeled_s,
    "vtwt": v1_samples.two_word,
    "winoground": v1_samples.winoground,
}
WINOGROUND = TASKS["winoground"]


class Scorer(Predictor):
    """Scores each pair by a function of the picture's bytes and the text."""

    def __init__(self, like):
        self.like, self.asked = like, []

    def score(self, items, choices):
        assert all(len(item.images) == 1 for item in items)
        self.asked += [
            (item.images[0], texts)
            for item, (texts,) in zip(items, choices, strict=True)
        ]
        return [
            [np.array([self.like(item.images[0], text) for text in texts])]
            for item, (texts,) in zip(items, choices, strict=True)
        ]


def mean_metrics(name, scorer, number, forms=None, ties="random"):
    task = TASKS[name]
    items = [MAKE[name](k) for k in range(number)]
    said = match(scorer, task, items, forms or items, ties)
    lines = [
        make_line(task, "", item, one) for item, one in zip(items, said, strict=True)
    ]
    return {
        metric: np.mean([line["metrics"][metric] for line in lines])
        for metric in task.metrics
    }


def random_scorer(seed=0):
    rng = np.random.default_rng(seed)
    return Scorer(lambda image, text: rng.random())


@pytest.mark.integration
@pytest.mark.parametrize("name", some(sorted(MAKE), ("winoground",)))
def test_random_scores_reach_the_chance_of_each_metric(name):
    number = 500
    found = mean_metrics(name, random_scorer(), number)
    for metric, chance in TASKS[name].chance.items():
        error = (chance * (1 - chance) / number) ** 0.5
        assert abs(found[metric] - chance) < 4 * error, metric
    assert TASKS["winoground"].chance == pytest.approx(
        {
            "image": 0.25,
            "text": 0.25,
            "group": 1 / 6,
            "positive_context_group": 1 / 3,
            "negative_context_group": 1 / 3,
            "positive_context_text": 0.5,
            "negative_context_text": 0.5,
        }
    )


def test_whoever_does_not_look_cannot_solve_winoground():
    blind = Scorer(lambda image, text: len(text))
    found = mean_metrics("winoground", blind, 50)
    assert found["image"] == found["group"] == found["text"] == 0
    assert found["positive_context_group"] == found["negative_context_group"] == 0
    assert found["positive_context_text"] == 1  # "red ball" is the longer one
    assert found["negative_context_text"] == 0


def test_grey_pictures_are_one_picture_and_so_are_tied():
    items = [v1_samples.winoground(k) for k in range(20)]
    grey = [controls.no_image(item) for item in items]
    scorer = random_scorer()
    found = mean_metrics("winoground", scorer, 20, grey)
    assert found["image"] == found["group"] == 0
    assert len(scorer.asked) == 20  # one picture an item, with both texts
    items = [v1_samples.labeled_s(k) for k in range(600)]
    grey = [controls.no_image(item) for item in items]
    assert mean_metrics("labeled_s", random_scorer(), 600, grey)[
        "accuracy"
    ] == pytest.approx(0.25, abs=0.07)


def test_whoever_knows_solves_everything():
    item = v1_samples.winoground()
    right = {(item.images[0], "red ball"), (item.images[1], "red cup")}
    knows = Scorer(lambda image, text: float((image, text) in right))
    assert set(mean_metrics("winoground", knows, 1).values()) == {1.0}


def test_ties():
    cases = ((["B"], "A", "wrong"), (["A", "B"], "B", "right"))
    cases += ((["A", "C"], "B", "right"), (["A", "B"], "B", "wrong"))
    assert [decide(*case, "x") for case in cases] == ["B", "B", "", ""]
    drawn, again = (
        [decide(["A", "B"], "B", "random", f"item{k}") for k in range(400)]
        for _ in range(2)
    )
    assert drawn == again and 150 < drawn.count("A") < 250
    equal = Scorer(lambda image, text: 0.0)
    for ties, score in (("right", 1), ("wrong", 0)):
        assert mean_metrics("vtwt", equal, 10, ties=ties)["accuracy"] == score
    # of Winoground ties fail whatever is said
    assert set(mean_metrics("winoground", equal, 10, ties="right").values()) == {0}


def test_words_that_cannot_be_scored_leave_a_draw():
    assert highest(np.array([-3.0, -1.0, -1.0])) == [1, 2]
    assert highest(np.array([-3.0, -np.inf, -1.0])) == [0, 1, 2]


def test_pairs():
    item = v1_samples.two_word()
    (phrases,) = pairs_of(TASKS["vtwt"], item)
    assert phrases.pop(item.turns[1][1]) == Pair(0, "red ball")
    assert list(phrases.values()) == [Pair(0, "blue ball")]
    (options,) = pairs_of(TASKS["picture_vocabulary"], ITEMS["picture_vocabulary"])
    assert options["C"] == Pair(2, "ball")
    rounds = pairs_of(WINOGROUND, v1_samples.winoground())
    assert [list(one) for one in rounds] == [["A", "B"]] * 4


def test_every_distinct_pair_is_asked_for_once():
    scorer = Scorer(lambda image, text: len(image))
    match(
        scorer, WINOGROUND, [v1_samples.winoground(3)], [v1_samples.winoground(3)], ""
    )
    assert [texts for _, texts in scorer.asked] == [("red ball", "red cup")] * 2


def test_a_summary_has_all_metrics_and_the_breakdown(tmp_path):
    items = [v1_samples.winoground(k) for k in range(30)]
    said = match(random_scorer(), WINOGROUND, items, items, "random")
    lines = [
        make_line(WINOGROUND, "", i, one) for i, one in zip(items, said, strict=True)
    ]
    lines += control_lines(ItemSet("", str(tmp_path), WINOGROUND, "test"), items)
    entry = summarize(WINOGROUND, "winoground", "match", lines)
    assert (entry.primary, entry.constant) == ("group", 0)
    assert entry.chance == pytest.approx(1 / 6)
    assert set(entry.metrics) == set(WINOGROUND.metrics)
    by, values = entry.breakdown.values()
    assert (by, list(values)) == ("difference", ["second"])
    spoken = dataclasses.replace(items[0], meta={**items[0].meta, "difference": "x"})
    assert make_line(WINOGROUND, "", spoken, said[0])["listed"] == "x"
