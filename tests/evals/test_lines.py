import pytest

from babyvlm_jax.evals.results import metrics_of
from babyvlm_jax.evals.scoring import (
    Said,
    make_line,
    score_replies,
)
from babyvlm_jax.evals.tasks import TASKS
from tests.evals.samples import ITEMS, memory, record

LOCALIZE = TASKS["localize"]


def test_line_of_one_written_answer():
    line = make_line(
        LOCALIZE, "ego4d", ITEMS["localize"], Said("generate", "", ["so d"])
    )
    prompt = line.pop("prompt")
    assert prompt.startswith("<image> Point at the cup.")
    assert line == {
        "source": "ego4d",
        "task": "localize",
        "id": "localize0",
        "dataset": "devcv_localize",
        "control": "",
        "protocol": "generate",
        "cluster": "localize0",
        "listed": "bottom right",
        "answer": "D",
        "prediction": "D",
        "output": "so d",
        "correct": True,
        "metrics": {"accuracy": 1.0},
        "chance": {"accuracy": 1 / 4},
        "official": {"prediction": "D", "correct": True, "metrics": {"accuracy": 1.0}},
    }


@pytest.mark.parametrize(
    ("name", "output", "official", "strict"),
    [
        ("localize", "it is a cup, so D", ("A", False), ("D", True)),
        ("count", "Seven.", ("7", True), ("7", True)),
        ("count", "eleven", ("eleven", False), ("11", False)),
        ("vdr_binary", "left.", ("left.", False), ("left", True)),
    ],
)
def test_both_parsers_are_written(name, output, official, strict):
    line = make_line(TASKS[name], "", ITEMS[name], Said("generate", "", [output]))
    assert (line["prediction"], line["correct"]) == strict
    assert (line["official"]["prediction"], line["official"]["correct"]) == official
    for parser, read in (("official", official), ("strict", strict)):
        assert metrics_of(line, parser)[TASKS[name].primary] == float(read[1])


def test_an_output_that_says_nothing_is_shown():
    said = Said("generate", "", ["up there"])
    line = make_line(LOCALIZE, "", ITEMS["localize"], said)
    assert (line["prediction"], line["correct"]) == ("up there", False)


def test_line_of_a_choice_has_likelihoods_and_one_parser():
    said = Said("choice", "no_image", ["D"], [{"A": 0.2499999, "D": 0.7500001}])
    line = make_line(LOCALIZE, "", ITEMS["localize"], said)
    assert line["likelihoods"] == {"A": 0.25, "D": 0.75}
    assert line["control"] == "no_image"
    assert "official" not in line


def test_line_of_a_dialogue():
    item = memory(3)  # b = 1: x; then x against y, x against z
    said = Said("generate", "", ["a", "b", "a"])
    line = make_line(TASKS["memory"], "", item, said)
    assert (line["answer"], line["prediction"]) == ("A B B", "A B A")
    assert not line["correct"]
    assert line["metrics"] == {"learning": 1.0, "raw": 0.5, "adjusted": 0.0}
    assert line["rounds"][2] == {
        "prompt": "new? (A) <image> (B) <image>",
        "answer": "B",
        "prediction": "A",
        "output": "a",
        "correct": False,
    }
    assert line["official"]["metrics"] == line["metrics"]


def test_scores_of_memory_without_labels_are_those_with_them():
    replies = ["A", "B", "A", "A", "B", "B"]
    with_labels = score_replies(TASKS["memory"], memory(6), replies)
    assert with_labels == {"learning": 1.0, "raw": 0.5, "adjusted": 0.0}
    bare = memory(6, labels=False)
    assert score_replies(TASKS["memory"], bare, replies) == with_labels


def test_items_in_another_wording_score_too():
    asked = "Is it (A) here or (B) there?"
    odd = record("localize", asked, "The answer is B", images=0)
    assert make_line(LOCALIZE, "", odd, Said("generate", "", ["b"]))["correct"]
