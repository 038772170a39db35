import pytest

from babyvlm_jax.evals.parsers import OFFICIAL, STRICT
from babyvlm_jax.evals.scoring import (
    Round,
    gold_answer,
    is_adjacent,
    item_metrics,
    memory_base,
    memory_metrics,
    score_round,
)
from babyvlm_jax.evals.tasks import TASKS


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


def thirty_rounds():
    """b = 10: the NIH original. Old x0..x9 are taught, then tested twice each."""
    labels = [["x0"]] + [[f"x{k}", f"x{k - 1}"] for k in range(1, 10)]
    labels += [[f"x{k}", f"y{k}"] for k in range(10)]
    return labels + [[f"z{k}", f"x{k}"] for k in reversed(range(10))]


def test_memory_of_thirty_rounds():
    correct = [True] * 30
    correct[3] = False  # learning: 9 of 10
    correct[12] = False  # x2, first test
    correct[29] = False  # x0, second test
    assert memory_metrics(correct, thirty_rounds()) == {
        "learning": 0.9,
        "raw": 0.9,
        "adjusted": 0.8,
    }


def test_rounds_behind_the_last_test_are_not_looked_at():
    correct = [True] * 31  # (31 + 1) // 3 is still 10
    correct[30] = False
    labels = [*thirty_rounds(), ["x0", "q"]]
    assert memory_metrics(correct, labels)["raw"] == 1.0
    assert memory_metrics(correct, labels)["adjusted"] == 1.0


def test_expected_metrics_of_guessing_among_two():
    assert memory_metrics([1, 0.5, 0.5, 0.5, 0.5, 0.5], LABELS) == {
        "learning": 0.75,
        "raw": 0.5,
        "adjusted": 0.25,
    }


def test_score_round_keeps_what_was_said():
    assert score_round("letter", "B", "b, of course", STRICT) == Round(
        answer="B", output="b, of course", prediction="B", correct=True
    )
    assert not score_round("number", "12", "twelve", OFFICIAL).correct
    assert score_round("number", "12", "twelve", STRICT).correct


def test_options_that_are_numbers_are_read_as_numbers():
    assert score_round("letter", "2", "The second, 2.", STRICT).correct
    assert score_round("letter", "2", "two", OFFICIAL).correct
    assert not score_round("letter", "2", "b", STRICT).correct


def test_item_metrics_of_each_kind():
    letter = [score_round("letter", "A", "B", STRICT)]
    assert item_metrics(TASKS["localize"], letter) == {"accuracy": 0.0}
    near = [score_round("direction", "left", "top left", STRICT)]
    assert item_metrics(TASKS["vdr_open"], near) == {"exact": 0.0, "adjacent": 1.0}
    rounds = [score_round("letter", "A", text, STRICT) for text in "ABABAA"]
    assert item_metrics(TASKS["memory"], rounds, LABELS)["raw"] == 0.75
