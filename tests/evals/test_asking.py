"""Protocols, controls and orders through a predictor that says what it was asked."""

import hashlib

import numpy as np
import pytest

from babyvlm_jax.evals import controls
from babyvlm_jax.evals.asking import ask
from babyvlm_jax.evals.config import How
from babyvlm_jax.evals.controls import ask_no_model
from babyvlm_jax.evals.items import num_rounds, round_images
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
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


def asked(name, items, how, predictor=None):
    variants = controls.make_variants(how.controls, items)
    return ask(predictor or Watched(), TASKS[name], items, how, variants)


def items(count=3):
    return [
        record("leftright", SAME + THREE, "B", 4, name=f"i{k}", first=10 * k)
        for k in range(count)
    ]


def test_all_forms_go_to_the_predictor_together():
    predictor = Watched()
    how = How(("generate", "choice"), ("no_image", "no_text"))
    said = asked("leftright", items(), how, predictor)
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
    said = asked("leftright", items(), How(protocols), predictor)
    assert predictor.calls == calls
    assert [one.protocol for one in said[0]] == list(protocols)


def test_orders_take_away_what_a_position_is_liked_for():
    fair = [
        one[0].likelihoods[0] for one in asked("leftright", items(), How(("choice",)))
    ]
    how = How(("choice",), permute=True)
    predictor = Watched(lean=3.0)
    turned = [one[0] for one in asked("leftright", items(), how, predictor)]
    assert predictor.calls == [("score", 3)] * 3
    for found, likelihoods in zip(turned, fair, strict=True):
        best = max(likelihoods, key=likelihoods.get)
        assert found.replies == [best]
        assert sum(found.likelihoods[0].values()) == pytest.approx(1)
    leaning = asked("leftright", items(), How(("choice",)), Watched(lean=9.0))
    assert {one[0].replies[0] for one in leaning} == {"A"}


def test_orders_of_dialogues_and_of_questions_with_one():
    how = How(("choice",), permute=True)
    predictor = Watched()
    ((said,),) = asked("memory", [memory(6)], how, predictor)
    assert predictor.calls == [("score", 1), ("score", 1)]
    assert [len(shares) for shares in said.likelihoods] == [1, 2, 2, 2, 2, 2]
    asked("count", [ITEMS["count"]], how, predictor := Watched())
    assert predictor.calls == [("score", 1)]


def test_match_shows_each_picture_alone_under_the_word():
    ((said,),) = asked(
        "picture_vocabulary", [ITEMS["picture_vocabulary"]], How(("match",))
    )
    values = [hashlib.sha256(picture(k)).digest()[0] for k in range(4)]
    assert said.replies == ["ABCD"[int(np.argmax(values))]]
    assert list(said.likelihoods[0]) == list("ABCD")


def test_match_needs_a_word():
    with pytest.raises(UserError, match="picture_vocabulary and lwl"):
        asked("leftright", items(), How(("match",)))


def test_controls_without_a_model():
    found = ask_no_model(TASKS["count"], [ITEMS["count"]], [ITEMS["count"]] * 2)
    assert found == {"prior": [["7"]]}
    found = ask_no_model(TASKS["memory"], [memory(6)], [])
    assert found == {"pixels": [["A", *"BBBBB"]]}
    odd = record("localize", "<image> where?", "A")
    assert ask_no_model(TASKS["localize"], [odd], [odd]) == {}
