"""Pairs of pictures and texts: chance, blindness, ties, what follows from scores."""

import dataclasses

import numpy as np
import pytest

from babyvlm_jax.evals import controls
from babyvlm_jax.evals.asking import Pair, decide, highest, match, pairs_of
from babyvlm_jax.evals.controls import control_lines
from babyvlm_jax.evals.items import ItemSet
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.scoring import make_line
from babyvlm_jax.evals.summary import summarize
from babyvlm_jax.evals.tasks import TASKS
from tests.chosen import some
from tests.evals import v1_samples
from tests.evals.samples import ITEMS

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
    assert decide(["B"], "A", "wrong", "x") == "B"
    assert decide(["A", "B"], "B", "right", "x") == "B"
    assert decide(["A", "C"], "B", "right", "x") == ""
    assert decide(["A", "B"], "B", "wrong", "x") == ""
    drawn = [decide(["A", "B"], "B", "random", f"item{k}") for k in range(400)]
    assert drawn == [decide(["A", "B"], "B", "random", f"item{k}") for k in range(400)]
    assert 150 < drawn.count("A") < 250
    equal = Scorer(lambda image, text: 0.0)
    assert mean_metrics("vtwt", equal, 10, ties="right")["accuracy"] == 1
    assert mean_metrics("vtwt", equal, 10, ties="wrong")["accuracy"] == 0
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
    assert entry.primary == "group"
    assert entry.chance == pytest.approx(1 / 6)
    assert set(entry.metrics) == set(WINOGROUND.metrics)
    assert entry.breakdown["by"] == "difference"
    assert list(entry.breakdown["values"]) == ["second"]
    assert entry.constant == 0
    spoken = dataclasses.replace(items[0], meta={**items[0].meta, "difference": "x"})
    assert make_line(WINOGROUND, "", spoken, said[0])["listed"] == "x"
