import pytest

from babyvlm_jax.evals.scoring import (
    Round,
    direction_strict,
    gold_answer,
    is_adjacent,
    item_metrics,
    letter_article_counts,
    memory_base,
    memory_metrics,
    number_words_to_ten,
    score_round,
)
from babyvlm_jax.evals.tasks import TASKS


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(C)", "C"),
        ("the answer is d.", "D"),
        ("it is a dog, so B", "A"),  # pitfall: the article
        ("E", None),
        ("bad cab", None),
        ("B2", None),
        ("B_", None),
        ("", None),
    ],
)
def test_letter(text, letter):
    assert letter_article_counts(text) == letter


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", "7"),
        ("07", "7"),
        ("There are Three balls", "3"),
        ("ten", "10"),
        ("zero", "0"),
        ("12 of 3", "12"),
        ("eleven", None),  # pitfall: not in the official list
        ("twelve", None),
        ("eleven or 4", "4"),
        ("twenty1", "1"),
        ("someone", None),
        ("", None),
    ],
)
def test_number(text, number):
    assert number_words_to_ten(text) == number


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("left", "left"),
        ("Top Left", "top left"),
        ("left.", None),  # pitfalls: nothing is stripped or searched
        (" left", None),
        ("topleft", None),
        ("the left", None),
        ("", None),
    ],
)
def test_direction(text, direction):
    assert direction_strict(text) == direction


def test_gold_letter_is_the_last_word():
    assert gold_answer("letter", "The answer is b") == "B"
    assert gold_answer("number", "12") == "12"
    assert gold_answer("direction", "Top left") == "top left"


@pytest.mark.parametrize(
    ("prediction", "near"),
    [
        ("top", True),
        ("top right", True),
        ("top left", True),
        ("right", False),
        ("bottom", False),
        (None, False),
    ],
)
def test_adjacent_to_top_is_itself_and_its_neighbours(prediction, near):
    assert is_adjacent(prediction, "top") == near


def test_the_ring_closes():
    assert is_adjacent("top", "top left")
    assert is_adjacent("top left", "left")


@pytest.mark.parametrize(("rounds", "base"), [(15, 5), (14, 5), (30, 10), (3, 1)])
def test_memory_base(rounds, base):
    assert memory_base(rounds) == base


def test_memory_base_of_one_round():
    with pytest.raises(ValueError, match="not 1"):
        memory_base(1)


# b = 2: round 0 shows x, round 1 x and y; then each twice against a new one.
LABELS = [["x"], ["y", "x"], ["x", "p"], ["q", "y"], ["y", "r"], ["s", "x"]]


@pytest.mark.parametrize(
    ("correct", "learning", "raw", "adjusted"),
    [
        ([1, 1, 1, 1, 1, 1], 1.0, 1.0, 1.0),
        ([1, 0, 1, 1, 0, 1], 0.5, 0.75, 0.5),  # x right twice, y once
        ([1, 1, 1, 1, 0, 0], 1.0, 0.5, 0.0),  # each right once
        ([0, 0, 0, 0, 0, 0], 0.0, 0.0, 0.0),
    ],
)
def test_memory(correct, learning, raw, adjusted):
    assert memory_metrics([bool(c) for c in correct], LABELS) == {
        "learning": learning,
        "raw": raw,
        "adjusted": adjusted,
    }


def test_memory_label_tested_other_than_twice_never_scores():
    labels = [*LABELS[:5], ["x", "y"]]  # y three times, x twice
    assert memory_metrics([True] * 6, labels)["adjusted"] == 0.5
    labels = [*LABELS[:5], ["s", "t"]]  # x once
    assert memory_metrics([True] * 6, labels)["adjusted"] == 0.5


def test_memory_rounds_without_labels_are_skipped():
    assert memory_metrics([True] * 6, LABELS[:4])["adjusted"] == 0.0
    assert memory_metrics([True] * 6, []) == {
        "learning": 1.0,
        "raw": 1.0,
        "adjusted": 0.0,
    }


def test_score_round_keeps_what_was_said():
    assert score_round("letter", "B", "b, of course") == Round(
        answer="B", output="b, of course", prediction="B", correct=True
    )
    assert not score_round("number", "12", "twelve").correct


def test_item_metrics_of_each_kind():
    letter = [score_round("letter", "A", "B")]
    assert item_metrics(TASKS["localize"], letter) == {"accuracy": 0.0}
    near = [score_round("direction", "left", "top left")]
    assert item_metrics(TASKS["vdr_open"], near) == {"exact": 0.0, "adjacent": 1.0}
    rounds = [score_round("letter", "A", text) for text in "ABABAA"]
    assert item_metrics(TASKS["memory"], rounds, LABELS)["raw"] == 0.75
