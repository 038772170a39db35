"""What tasks declare: wordings letter by letter, numbers of items, names."""

import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv import items
from data_prep.devcv.tasks import (
    SIZES,
    TASKS,
    chosen_tasks,
    dataset_name,
    dataset_parts,
    memory,
    numbers,
)

HELD_OUT = {name for name, task in TASKS.items() if task.facts.held_out}
EASIER = {name for name, task in TASKS.items() if task.easier_form_of}
EGO4D = {
    "count": "<image> How many of ball do you see?",
    "subitize": "<image> How many of ball do you see?",
    "compare_real": "Which image has more of ball? (A) <image> (B) <image>",
    "compare_synthetic": (
        "Which image has more of ball? Answer (A) <image> (B) <image>"
    ),
    "localize": (
        "<image> Point at the ball. Is it in the (A) top left or (B) top right or "
        "(C) bottom left or (D) bottom right of the image?"
    ),
    "leftright": (
        "<image> Which of the following is the same as this? "
        "(A) <image> (B) <image> (C) <image>"
    ),
    "spatialdetails": (
        "<image> Which of the following contains exactly this object? (A) <image> "
        "(B) <image> (C) <image>. Pay attention to details and give a letter A-C."
    ),
    "picture_vocabulary": (
        "Touch the image of 'ball' (A)<image> (B)<image> (C)<image> (D)<image>"
    ),
    "picture_vocabulary_three": (
        "Touch the image of 'ball' (A)<image> (B)<image> (C)<image>"
    ),
    "lwl": "Touch the image of 'ball' (A)<image> (B)<image>",
    "vdr_binary": (
        "<image><image><image><image><image> does the ball leave the frame through "
        "the left side of the frame or the right side of the frame? respond ONLY "
        "with 'left' or 'right'."
    ),
    "vdr_open": (
        "<image><image><image><image><image> which part of the frame does the ball "
        "leave from? respond ONLY with one of: 'top', 'bottom', 'left', 'right', "
        "'top right', 'top left', 'bottom right', or 'bottom left'."
    ),
    "memory": "Touch the new image. (A) <image>",
    "memory_short": "Touch the new image. (A) <image>",
}
SAYCAM = {
    **EGO4D,
    "leftright": (
        "<image> Which of the following is the same as this? Answer with a number. "
        "(A) <image> (B) <image> (C) <image>"
    ),
    "spatialdetails": (
        "<image> Which of the following contains exactly this object? (A) <image> "
        "(B) <image> (C) <image>. Pay attention to details and give only a letter A-C."
    ),
    "picture_vocabulary": (
        "<image><image><image><image>\nTouch the image of 'ball' (A) the first image "
        "(B) the second image (C) the third image (D) the fourth image"
    ),
    "picture_vocabulary_three": (
        "<image><image><image>\nTouch the image of 'ball' (A) the first image "
        "(B) the second image (C) the third image"
    ),
    "lwl": (
        "<image><image>\nTouch the image of 'ball' (A) the first image "
        "(B) the second image"
    ),
}
for wordings in (EGO4D, SAYCAM):
    wordings["leftright_things"] = wordings["leftright"]


@pytest.mark.parametrize(
    ("variant", "expected"), [("ego4d", EGO4D), ("saycam", SAYCAM)]
)
def test_prompts(variant, expected):
    assert {name: task.example(variant) for name, task in TASKS.items()} == expected


def test_later_rounds_of_memory():
    assert memory.question(is_first=False) == (
        "Let's try more. Touch the new image. (A) <image> (B) <image>"
    )


def test_both_wordings():
    rng = np.random.default_rng(0)
    drawn = [items.wording(rng, "both") for _ in range(100)]
    assert set(drawn) == {"saycam", "ego4d"}
    assert 30 < drawn.count("saycam") < 70
    assert {items.wording(rng, "ego4d") for _ in range(9)} == {"ego4d"}
    assert TASKS["count"].examples("both") == [EGO4D["count"]]
    assert TASKS["lwl"].examples("both") == sorted([SAYCAM["lwl"], EGO4D["lwl"]])


NONE = {"train": None, "val": None, "test": None}


def test_every_task_has_its_numbers_and_held_out_ones_are_never_trained():
    for size in SIZES:
        wanted = numbers(size, NONE)
        assert set(wanted) == set(TASKS)
        untrained = {task for task in wanted if wanted[task]["train"] == 0}
        extra = EASIER if size == "full" else ()  # not published
        assert untrained == {*HELD_OUT, *extra}


def test_the_demo_tests_on_enough():
    demo = numbers("demo", NONE)
    assert demo["memory"]["test"] == 60
    tested = set(demo) - {"memory", *EASIER}
    assert {demo[task]["test"] for task in tested} == {200}
    assert {demo[task]["test"] for task in EASIER} == {0}


def test_the_full_size_is_the_published_one():
    full = numbers("full", NONE)
    assert sum(numbers["train"] for numbers in full.values()) == 113211


def test_overrides_leave_held_out_tasks_untrained():
    wanted = numbers("demo", {"train": 101, "val": None, "test": 8})
    assert wanted["count"] == {"train": 101, "val": 40, "test": 8}
    assert wanted["memory"] == {"train": 26, "val": 20, "test": 2}
    assert wanted["lwl"] == {"train": 0, "val": 40, "test": 8}


def test_datasets_of_every_task_and_source():
    for task in TASKS:
        for source in ("", "ego4d", "memory", "baby_view"):
            name = dataset_name(task, source)
            assert dataset_parts(name) == (task, source)
    assert dataset_parts("devcv_chess") is None
    assert dataset_parts("frames") is None


def test_chosen_tasks_are_checked():
    assert chosen_tasks("count,lwl") == ("count", "lwl")
    with pytest.raises(UserError, match="unknown chess"):
        chosen_tasks("count,chess")
