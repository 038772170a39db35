import pytest

from babyvlm_jax.data.questions import add_rounds
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.items import (
    cluster,
    find_problem,
    is_picture,
    listed_under,
    offered,
    option_images,
)
from babyvlm_jax.evals.scoring import chance_metrics
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS, memory, record


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_chance_of_the_published_forms_is_the_tasks_own(name):
    task = TASKS[name]
    assert chance_metrics(task, ITEMS[name]) == pytest.approx(dict(task.chance))


def test_chance_follows_the_number_of_options():
    text = "<image> Which? (A) <image> (B) <image> (C) <image> (D) <image>"
    four = record("spatialdetails", text, "D", 5)
    assert chance_metrics(TASKS["spatialdetails"], four) == {"accuracy": 1 / 4}


def test_chance_of_five_and_of_lettered_sides():
    text = "<image> Which? " + " ".join(f"({k}) <image>" for k in "ABCDE")
    five = record("leftright", text, "E", 6)
    assert chance_metrics(TASKS["leftright"], five) == {"accuracy": 1 / 5}
    sides = "<image> Is it (A) left, (B) top left, (C) right or (D) bottom?"
    four = record("vdr_open", sides, "A")
    assert chance_metrics(TASKS["vdr_open"], four) == {
        "exact": 1 / 4,
        "adjacent": 1 / 2,
    }


@pytest.mark.parametrize(
    ("task", "prompt", "answers"),
    [
        ("memory", "Touch the new image. (A) <image>", ("A",)),
        ("leftright", "Same? (A) <image> (B) <image> (C) <image>", ("A", "B", "C")),
        ("compare_real", "More cups? (1) <image> (2) <image>", ("1", "2")),
        ("vdr_binary", "respond ONLY with 'left' or 'right'.", ("right", "left")),
        ("vdr_open", "one of: 'top left', 'top'.", ("top", "top left")),
        ("subitize", "<image> How many of ball do you see?", ("1", "2", "3", "4")),
    ],
)
def test_offered_answers_are_those_of_the_prompt(task, prompt, answers):
    item = record(task, prompt, answers[0], prompt.count("<image>"))
    assert offered(TASKS[task], item) == [answers]
    assert offered(TASKS[task], add_rounds(item)) == [answers]


def test_a_prompt_without_options_is_refused():
    with pytest.raises(UserError, match="offers no letter"):
        offered(TASKS["localize"], record("localize", "<image> where?", "A"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("c8bf04e6/7200_7332_lamp", "c8bf04e6"),
        ("count_0", "count_0"),
        ("count_0#2", "count_0#2"),  # another item of the same id
        ("memory_task_26_aug", "memory_task_26"),
        ("memory_task_26", "memory_task_26"),
        ("S_20990101_0100_01_clip_009_original", "S_20990101_0100_01"),
        ("S_20990101_0100_01_clip_002_augmented", "S_20990101_0100_01"),
    ],
)
def test_items_of_a_recording_and_augmented_ones_go_together(name, found):
    item = record("count", "<image>", "1", meta={"recordings": ["b", "a"]})
    assert cluster(item) == "a b"
    assert cluster(Record(id=name, source="eval/vdr_binary")) == found


def test_options_are_the_last_pictures_of_a_round():
    (options,) = option_images(ITEMS["leftright"])
    assert options == {"A": picture(1), "B": picture(2), "C": picture(3)}
    assert option_images(ITEMS["localize"]) == [{}]
    rounds = option_images(memory(6))
    assert [len(options) for options in rounds] == [1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_items_without_a_problem(name):
    assert find_problem(TASKS[name], ITEMS[name], needs_options=True) is None


def test_the_right_picture_may_be_there_only_once():
    text = "<image> Which? (A) <image> (B) <image> (C) <image>"
    shown = (picture(1), picture(1), picture(2), picture(1))
    same = Record("x", "eval/leftright", shown, (("human", text), ("assistant", "A")))
    assert find_problem(TASKS["leftright"], same, False) == (
        "options A and C are the same picture, the right one"
    )
    mirrors = Record(
        "x",
        "eval/leftright",
        (picture(1), picture(1), picture(2), picture(2)),
        (("human", text), ("assistant", "A")),
    )
    assert find_problem(TASKS["leftright"], mirrors, False) is None  # as published


@pytest.mark.parametrize("data", [b"", b"no picture", picture(1)[:20]])
def test_a_missing_picture_is_named(data):
    assert not is_picture(data)
    item = Record(
        "x",
        "eval/localize",
        (data,),
        (("human", "<image> (A) top left"), ("assistant", "A")),
    )
    assert find_problem(TASKS["localize"], item, False) == (
        "picture 1 of 1 is missing or damaged"
    )


@pytest.mark.parametrize(
    ("task", "prompt", "gold", "problem"),
    [
        ("localize", "<image> where?", "A", "offers no letter in a form that is known"),
        ("localize", "<image>", "A", "offers no letter"),
        ("leftright", "Same? (A) <image> (C) <image>", "A", "offers no letter"),
        ("leftright", "Same? (A) <image> (B) <image>", "C", "answer 'C' is none that"),
        ("vdr_open", "<image> Go 'left' or 'top'?", "up", "answer 'up' is none that"),
        ("memory", "new? (A) <image>", "A", "one round tests nothing"),
        ("count", "<image> How many of cup do you see?", "many", "answer 'many' is no"),
    ],
)
def test_what_is_not_understood_is_told(task, prompt, gold, problem):
    odd = record(task, prompt, gold, prompt.count("<image>"))
    for needs_options in (False, True):
        assert problem in find_problem(TASKS[task], odd, needs_options)


def test_a_number_beyond_those_on_offer_can_only_be_written():
    odd = record("count", "<image> How many of cup do you see?", "13")
    assert find_problem(TASKS["count"], odd, needs_options=False) is None
    assert "'13' is beyond 12" in find_problem(TASKS["count"], odd, True)


def test_rounds_in_the_meta_must_be_valid():
    bad = record(
        "count", "<image> How many of cup do you see?", "3", meta={"rounds": 1}
    )
    assert "valid entry of 'rounds'" in find_problem(TASKS["count"], bad, False)


@pytest.mark.parametrize(
    "turns", [(), (("human", "a"),), (("assistant", "a"), ("human", "b"))]
)
def test_items_must_be_questions_with_answers(turns):
    odd = Record(id="odd", source="eval/localize", turns=turns)
    assert "human and assistant in turn" in find_problem(TASKS["localize"], odd, False)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("count", "7"),
        ("picture_vocabulary", "ball"),
        ("vdr_open", "top left"),
        ("localize", "bottom right"),
        ("leftright", ""),
        ("memory", ""),
    ],
)
def test_lines_of_breakdowns(name, line):
    task = TASKS[name]
    assert listed_under(task, ITEMS[name]) == line


@pytest.mark.parametrize(
    ("name", "prompt", "line"),
    [
        ("localize", "<image> (A) bottom left (B) upper right?", "top right"),
        ("vdr_binary", "<image> Is it (A) left or (B) right?", "right"),
        ("count", "<image> How many? (A) 3 (B) 12", "12"),
    ],
)
def test_breakdowns_go_by_what_the_right_answer_says(name, prompt, line):
    assert listed_under(TASKS[name], record(name, prompt, "B")) == line
