"""Reading answers, metrics of the DevCV scorers, and lines of predictions.jsonl."""

import pytest

from babyvlm_jax.data.questions import parse_turns
from babyvlm_jax.evals.results import metrics_of
from babyvlm_jax.evals.scoring import (
    OFFICIAL_READERS,
    Answer,
    Reading,
    is_adjacent,
    item_metrics,
    make_line,
    memory_base,
    memory_metrics,
    official_gold,
    read_officially,
    read_strictly,
    score_replies,
)
from babyvlm_jax.evals.tasks import TASKS
from tests.evals.samples import ITEMS, memory, record

# text -> what the official parser reads, with its faults
LETTERS = {
    "B": "B",
    "b": "B",
    "(C)": "C",
    "the answer is d.": "D",
    "it is a dog, so B": "A",  # the article
    "A dog": "A",
    "a": "A",
    "option a.": "A",
    "E": None,
    "bad cab": None,
    "B2": None,
    "": None,
}
NUMBERS = {
    "7": "7",
    "07": "7",
    "There are Three balls": "3",
    "ten": "10",
    "12 of 3": "12",
    "eleven": None,  # the list ends at ten
    "eleven or 4": "4",
    "twenty-one": "1",
    "twenty1": "1",
    "3.5": "3",  # the first run of digits
    "-2": "2",
    "\uff13 cups": "3",
    "someone": None,
    "": None,
}
DIRECTIONS = {
    "left": "left",
    "Top Left": "top left",
    "left.": None,  # nothing is stripped or searched
    " left": None,
    "upper left": None,
    "": None,
}
CASES = [
    (kind, text, read)
    for kind, table in (
        ("letter", LETTERS),
        ("number", NUMBERS),
        ("direction", DIRECTIONS),
    )
    for text, read in table.items()
]


@pytest.mark.parametrize(("kind", "text", "read"), CASES)
def test_what_is_read(kind, text, read):
    assert OFFICIAL_READERS[kind](text) == read


TWO = "Which? (A) <image> (B) <image>"
COUNT = "<image> How many of cup do you see?"
SIDES = "<image> Respond ONLY with 'left' or 'top left'."


def asked(prompt, gold):
    (question,) = parse_turns((("human", prompt), ("assistant", gold)))
    return question


@pytest.mark.parametrize(
    ("task", "prompt", "gold", "read"),
    [
        ("localize", TWO, "(B)", "B"),
        ("localize", TWO, "A cup, so B", "A"),  # the article, as in replies
        ("memory", TWO, "A cup, so B", "B"),  # of dialogues the last word
        ("compare_real", "Which? (1) <image> (2) <image>", "The 2nd, 2.", "2"),
        ("count", COUNT, "Three cups", "3"),
        ("count", COUNT, "eleven", None),  # no word beyond ten
        ("vdr_binary", SIDES, " Top left ", "top left"),
        ("vdr_binary", SIDES, "left.", "left."),
    ],
)
def test_official_gold(task, prompt, gold, read):
    assert official_gold(TASKS[task], asked(prompt, gold), gold) == read


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


def test_a_round_behind_the_last_test_is_a_test_too():
    correct = [True] * 31  # (31 + 1) // 3 is still 10
    correct[30] = False
    labels = [*thirty_rounds(), ["x0", "q"]]
    assert memory_metrics(correct, labels) == {
        "learning": 1.0,
        "raw": 20 / 21,
        "adjusted": 0.9,  # x0 is tested three times, so it never scores
    }


def test_expected_metrics_of_guessing_among_two():
    assert memory_metrics([1, 0.5, 0.5, 0.5, 0.5, 0.5], LABELS) == {
        "learning": 0.75,
        "raw": 0.5,
        "adjusted": 0.25,
    }


def test_a_round_keeps_what_was_said():
    assert read_strictly(asked(TWO, "B"), "b, of course") == Reading(
        answer="B", output="b, of course", prediction="B", correct=True, near=True
    )
    dozen = asked(COUNT, "12")
    assert not read_officially(TASKS["count"], dozen, "12", "twelve").correct
    assert read_strictly(dozen, "twelve").correct


def test_options_that_are_numbers_are_read_as_numbers():
    two = asked("Which? (1) <image> (2) <image>", "2")
    assert read_strictly(two, "The second, 2.").correct
    assert read_officially(TASKS["compare_real"], two, "2", "two").correct
    assert not read_strictly(two, "b").correct


def test_faults_of_the_official_scorer():
    five = " ".join(f"({k}) <image>" for k in "ABCDE")
    # nothing is read in "E", nor in the reply: equal, so right
    assert read_officially(TASKS["leftright"], asked(five, "E"), "E", "?").correct
    assert not read_strictly(asked(five, "E"), "?").correct
    side = asked(SIDES, "left.")
    assert not read_officially(TASKS["vdr_open"], side, "left.", "left").correct
    assert read_strictly(side, "left").correct


def test_lettered_sides_are_near_by_what_they_say():
    prompt = "<image> through (A) the left side (B) the top left (C) the right side?"
    question = asked(prompt, "A")
    near = [read_strictly(question, letter).near for letter in "ABC"]
    assert near == [True, True, False]
    official = read_officially(TASKS["vdr_open"], question, "A", "a")
    assert (official.correct, official.near) == (True, False)


def test_item_metrics_of_each_kind():
    letter = [read_strictly(asked(TWO, "A"), "B")]
    assert item_metrics(TASKS["localize"], letter) == {"accuracy": 0.0}
    near = [read_strictly(asked(SIDES, "left"), "top left")]
    assert item_metrics(TASKS["vdr_open"], near) == {"exact": 0.0, "adjacent": 1.0}
    rounds = [read_strictly(asked(TWO, "A"), text) for text in "ABABAA"]
    assert item_metrics(TASKS["memory"], rounds, LABELS)["raw"] == 0.75


LOCALIZE = TASKS["localize"]


def test_line_of_one_written_answer():
    line = make_line(
        LOCALIZE, "ego4d", ITEMS["localize"], Answer("generate", "", ["so d"])
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
    line = make_line(TASKS[name], "", ITEMS[name], Answer("generate", "", [output]))
    assert (line["prediction"], line["correct"]) == strict
    assert (line["official"]["prediction"], line["official"]["correct"]) == official
    for parser, read in (("official", official), ("strict", strict)):
        assert metrics_of(line, parser)[TASKS[name].primary] == float(read[1])


def test_an_output_that_says_nothing_is_shown():
    said = Answer("generate", "", ["up there"])
    line = make_line(LOCALIZE, "", ITEMS["localize"], said)
    assert (line["prediction"], line["correct"]) == ("up there", False)


def test_line_of_a_choice_has_likelihoods_and_one_parser():
    said = Answer("choice", "no_image", ["D"], [{"A": 0.2499999, "D": 0.7500001}])
    line = make_line(LOCALIZE, "", ITEMS["localize"], said)
    assert line["likelihoods"] == {"A": 0.25, "D": 0.75}
    assert line["control"] == "no_image"
    assert "official" not in line


def test_line_of_a_dialogue():
    item = memory(3)  # b = 1: x; then x against y, x against z
    said = Answer("generate", "", ["a", "b", "a"])
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
    assert make_line(LOCALIZE, "", odd, Answer("generate", "", ["b"]))["correct"]
