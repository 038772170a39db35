"""What prompts offer and what answers mean, in every released wording."""

import json

import pytest

from babyvlm_jax.data.questions import (
    BAD_ROUNDS,
    NO_CHOICES,
    NOT_OFFERED,
    RING,
    add_rounds,
    parse_turns,
    questions_of,
    read_direction,
    read_letter,
    read_number,
    recording_of,
    reworded,
    rounds_of,
)
from babyvlm_jax.data.schema import Record
from tests.data_prep.devcv.released_fixture import EIGHT, ITEMS, memory_item


def _round(human, gpt):
    (one,) = parse_turns((("human", human), ("assistant", gpt)))
    return one


@pytest.mark.parametrize(
    ("name", "kind", "choices", "options", "queries", "gold"),
    [
        ("count", "number", "", (), (0,), None),
        ("compare_real", "letter", "AB", (0, 1), (), 1),
        ("compare_synthetic", "letter", "AB", (0, 1), (), 0),
        ("localize", "letter", "ABCD", (), (0,), 2),
        ("leftright", "letter", "ABC", (1, 2, 3), (0,), 2),
        ("picture_vocabulary", "letter", "ABCD", (0, 1, 2, 3), (), 1),
        ("spatialdetails", "letter", "ABCD", (1, 2, 3, 4), (0,), 3),
    ],
)
def test_released_wordings(name, kind, choices, options, queries, gold):
    one = _round(*ITEMS[name][:2])
    assert (one.kind, one.choices) == (kind, tuple(choices))
    assert (one.options, one.queries, one.gold) == (options, queries, gold)


def test_directions():
    one = _round(*ITEMS["vdr-binary"][:2])
    assert (one.kind, one.choices, one.gold) == ("direction", ("top", "bottom"), 1)
    one = _round(*ITEMS["vdr-open"][:2])
    assert len(one.choices) == 8 and one.answer == "top left" and not one.options
    assert (
        _round(f"<image> respond ONLY with one of: {EIGHT}.", "Left.").answer == "left"
    )


@pytest.mark.parametrize(
    ("prompt", "gpt", "answer"),
    [
        ("Same? (A) <image> (B) <image>", "B", "B"),
        ("Same? (A) <image> (B) <image>", "It is (b).", "B"),
        ("Same? (A) <image> (B) <image>", "2", "B"),  # a number for a letter
        ("Same? (1) <image> (2) <image>", "2", "2"),
        ("Same? (1) <image> (2) <image>", "B", "2"),
        ("Same? (A) <image> (B) <image>", "B) the cup", "B"),
        ("Same? (A) <image> (B) <image>", "\uff08\uff22\uff09", "B"),  # full width
        ("Same? (A) <image> (B) <image>", "C", None),  # not offered
        ("Same? (A) <image> (B) <image>", "a cup", None),  # the article
        ("<image> Is it (A) on the left or (B) on the right?", "left", "A"),
        ("<image> Is it (A) open or (B) shut?", "Shut.", "B"),
        ("Same? (A) <image> (B) <image>", "", None),
        ("<image> How many of cup do you see?", "twelve", "12"),
        ("<image> How many of cup do you see?", "07", "7"),
        ("<image> How many of cup do you see?", "Three cups", "3"),
        ("<image> How many of cup do you see?", "twenty-one", "21"),
        ("<image> How many of cup do you see?", "\uff11\uff12", "12"),
        ("<image> How many of cup do you see?", "many", None),
        ("<image> How many of cup do you see?", "2.5", None),
        ("<image> Go 'left' or 'right'?", "Left.", "left"),
        ("<image> Go 'left' or 'right'?", "up", None),
    ],
)
def test_answers(prompt, gpt, answer):
    one = _round(prompt, gpt)
    assert (one.answer, one.fault) == (answer, "" if answer else NOT_OFFERED)


def test_pictures_named_by_their_place():
    prompt = (
        "<image> <image> Touch the new image. (A) the first image (B) the second image."
    )
    assert _round(prompt, "B").options == (0, 1)
    (only,) = _round("<image> Touch the new image. (A) the first image.", "A").options
    assert only == 0
    swapped = "<image> <image> Touch. (A) the second image (B) the first image."
    assert _round(swapped, "B").options == (1, 0)


def test_rounds_number_their_pictures_through():
    turns, _, _ = memory_item(5)
    pairs = [
        ("human" if t["from"] == "human" else "assistant", t["value"]) for t in turns
    ]
    rounds = parse_turns(pairs)
    assert [one.options for one in rounds[:3]] == [(0,), (1, 2), (3, 4)]
    assert rounds[-1].options == (27, 28) and rounds[0].choices == ("A",)
    assert [one.answer for one in rounds[:6]] == ["A", "A", "A", "A", "A", "B"]


SIDES = (
    "<image><image> does the cup leave the frame through (A) the left side or (B) the "
    "right side? Give a letter."
)


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        (SIDES, ("left", "right")),
        ("<image>\nWhere does it hide? (A) left (B) right", ("left", "right")),
        (
            "<image> (A) upper left image (B) lower left image",
            ("top left", "bottom left"),
        ),
        ("<image> Which fits? (A) left foot (B) left hand", ("left foot", "left hand")),
        (
            "<image> Is it (A) a red one, or (B) a blue one? Say.",
            ("a red one", "a blue one"),
        ),
        ("<image> How many? (A) 3 (B) 12", ("3", "12")),
    ],
)
def test_what_lettered_choices_say(prompt, texts):
    one = _round(prompt, "B")
    assert (one.kind, one.texts, one.says("B")) == ("letter", texts, texts[1])
    assert one.says(None) is None and one.says("?") == "?"


@pytest.mark.parametrize(
    "prompt",
    [
        "Which? (A) <image> (C) <image>",  # no B
        "Which? (B) <image> (C) <image>",
        "Which? (A) <image> (2) <image>",
        "Which? (A) <image> <image> (B) <image>",  # two pictures of one letter
        "Which? <image> (A) <image> (B)",  # letters behind their pictures
        "<image> Which? (A) red (B) red",
    ],
)
def test_choices_that_are_not_understood(prompt):
    one = _round(prompt, "A")
    assert (one.answer, one.fault) == (None, NO_CHOICES)


def test_five_options_are_read_and_pictures_alone_ask_for_a_text():
    prompt = "<image> Same? " + " ".join(f"({k}) <image>" for k in "ABCDE")
    five = _round(prompt, "E")
    assert (five.choices, five.options, five.gold) == (
        tuple("ABCDE"),
        (1, 2, 3, 4, 5),
        4,
    )
    assert (five.read("e."), _round(ITEMS["leftright"][0], "A").read("E")) == (
        "E",
        None,
    )
    said = _round("<image>", " Look, a Ball ")
    assert (said.kind, said.answer, said.choices) == ("text", "look, a ball", ())


def item(turns, images, **meta):
    return Record("x", "eval/leftright", (b"p",) * images, tuple(turns), meta)


WORDINGS = [(name, human, gpt, size) for name, (human, gpt, size) in ITEMS.items()]


@pytest.mark.parametrize(("name", "human", "gpt", "size"), WORDINGS)
def test_rounds_say_what_the_turns_say(name, human, gpt, size):
    turns = (("human", human), ("assistant", gpt))
    old = item(turns, size)
    new = add_rounds(old)
    assert json.loads(json.dumps(new.meta["rounds"])) == rounds_of(turns)
    assert questions_of(new) == questions_of(old) == parse_turns(turns)
    assert add_rounds(new) is new


def test_a_prompt_is_not_looked_at_where_there_are_rounds():
    rounds = rounds_of((("human", ITEMS["compare_real"][0]), ("assistant", "B")))
    turns = (("human", "<image> <image>"), ("assistant", "B"))  # words taken away
    (one,) = questions_of(item(turns, 2, rounds=rounds))
    assert (one.kind, one.options, one.answer) == ("letter", (0, 1), "B")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "colour"},
        {"choices": []},
        {"choices": ["A", "A"]},
        {"choices": "AB"},
        {"options": [0, 9]},
        {"options": [0]},
        {"answer": "C"},
        {"answer": None},
        {"texts": ["one"]},
        {"kind": "number"},
    ],
)
def test_rounds_that_are_not_valid(change):
    turns = (("human", ITEMS["compare_real"][0]), ("assistant", "B"))
    (entry,) = rounds_of(turns)
    (one,) = questions_of(item(turns, 2, rounds=[{**entry, **change}]))
    assert (one.fault, one.answer) == (BAD_ROUNDS, None)
    for rounds in (None, [], [entry, entry], ["B"]):
        (one,) = questions_of(item(turns, 2, rounds=rounds))
        assert one.fault == BAD_ROUNDS


def test_what_is_not_understood_gets_no_rounds():
    odd = item((("human", "<image> where?"), ("assistant", "here")), 1)
    assert add_rounds(odd) is odd
    with pytest.raises(ValueError, match="not_offered"):
        rounds_of(odd.turns)


# text -> what is read in it, strictly
LETTERS = {
    "B": "B",
    "b": "B",
    "(C)": "C",
    "the answer is d.": "D",
    "it is a dog, so B": "B",
    "A dog": None,
    "a": "A",
    "A because it is new": "A",
    "a and not b": "A",
    "option a.": "A",
    "E": None,
    "E, no, D": "D",
    "bad cab": None,
    "B2": None,
    "B_": None,
    "": None,
    "\uff22": "B",
}
NUMBERS = {
    "7": "7",
    "07": "7",
    "There are Three balls": "3",
    "ten": "10",
    "zero": "0",
    "12 of 3": "12",
    "eleven or 4": "11",
    "Twelve.": "12",
    "twenty1": "20",
    "twenty-one": "21",
    "ninety nine of them": "99",
    "fortytwo": "42",
    "1,200": "1200",
    "3.5": None,
    "-2": None,
    "\u22122": None,  # a minus sign
    "\uff13 cups": "3",  # full width
    "someone": None,
    "": None,
}
DIRECTIONS = {
    "left": "left",
    "Top Left": "top left",
    "left.": "left",
    " left": "left",
    "'right'\n": "right",
    "through the top-left corner": "top left",
    "the upper left": "top left",
    "Lower-right.": "bottom right",
    "upper": "top",
    "left, the left": "left",
    "upper left or top left": "top left",
    "left or right": None,
    "topleft": None,
    "": None,
}
READ = [
    (reader, text, told)
    for reader, table in (
        (read_letter, LETTERS),
        (read_number, NUMBERS),
        (read_direction, DIRECTIONS),
    )
    for text, told in table.items()
]


@pytest.mark.parametrize(("reader", "text", "told"), READ)
def test_what_is_read(reader, text, told):
    assert reader(text) == told


def test_every_right_answer_reads_as_itself():
    for _, human, gpt, _ in WORDINGS:
        one = _round(human, gpt)
        for choice in one.choices or ("1", "12"):
            assert one.read(choice) == one.read(f" {choice}. ") == choice
    assert [read_direction(side) for side in RING] == list(RING)


def test_choices_change_places_in_the_text():
    one = _round(SIDES, "A")
    turned = SIDES.replace("left", "@").replace("right", "left").replace("@", "right")
    assert reworded(SIDES, one, 1) == turned
    assert reworded(SIDES, one, 2) == SIDES
    prompt = "<image> Is it (A) red, (B) dark blue or (C) blue?"
    one = _round(prompt, "A")
    assert (
        reworded(prompt, one, 1) == "<image> Is it (A) blue, (B) red or (C) dark blue?"
    )
    assert reworded("<image>", one, 1) == "<image>"  # its words were taken away


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("c8bf04e6-74f2/7200_7332_lamp", "c8bf04e6-74f2"),
        ("S_20990101_0100_01_clip_009_original", "S_20990101_0100_01"),
        ("S_20990101_0100_01_clip_009_augmented#2", "S_20990101_0100_01"),
        ("video7_clip_3", "video7"),
        ("Y_20990101_1420_02_1136", "Y_20990101_1420_02"),
        ("count_6", ""),
        ("memory_task_26_aug", ""),
    ],
)
def test_recordings_in_ids(name, recording):
    assert recording_of(name) == recording
