"""A curriculum gives each lesson's own batches, in order."""

import dataclasses

import numpy as np
import pytest

from babyvlm_jax.data.lessons import Lessons
from babyvlm_jax.data.packed import Rows
from babyvlm_jax.data.pipeline import make_rows, prefetched

FIRST, SECOND = {"episodes": 1.0}, {"text": 1.0}


@pytest.fixture
def course(config):
    lessons = ({"steps": 3, "mixture": FIRST}, {"steps": 2, "mixture": SECOND})
    return dataclasses.replace(config, mixture={"pairs": 1.0}, lessons=lessons)


def alone(course, mixture):
    return Rows(dataclasses.replace(course, mixture=mixture, lessons=()))


@pytest.mark.parametrize(
    "step,mixture,within,number",
    [
        (0, FIRST, 0, 0),
        (2, FIRST, 2, 0),
        (3, SECOND, 0, 2),
        (4, SECOND, 1, 2),
        (5, {"pairs": 1.0}, 0, 1),
        (9, {"pairs": 1.0}, 4, 1),
    ],
)
def test_steps_are_the_lessons_own(course, same, step, mixture, within, number):
    rows = make_rows(course)
    assert isinstance(rows, Lessons)
    assert rows.sources == ("episodes", "pairs", "text")
    batch = dict(rows.batch_at(step))
    assert set(np.unique(batch.pop("sources")[batch["loss_mask"]])) == {number}
    expected = dict(alone(course, mixture).batch_at(within))
    expected.pop("sources")
    same(batch, expected)


def test_slices_and_starts_agree(course, same):
    rows = make_rows(course)
    parts = [rows.batch_at(3, i, 2) for i in range(2)]
    same({k: np.concatenate([p[k] for p in parts]) for k in parts[0]}, rows.batch_at(3))
    step, batch = next(prefetched(make_rows(course), course, 4))
    assert step == 4
    same(batch, rows.batch_at(4))


def test_the_run_ends_after_the_last_lesson_and_its_epochs(course):
    once = dataclasses.replace(course, repeats=1)
    assert make_rows(course).num_steps is None
    ends = make_rows(once).num_steps
    assert ends == 5 + alone(once, {"pairs": 1.0}).num_steps
    assert [step for step, _ in prefetched(make_rows(once), once, 0)] == list(
        range(ends)
    )


def test_another_lesson_is_another_plan(course):
    shorter = dataclasses.replace(course, lessons=course.lessons[:1])
    ours, theirs = make_rows(course).facts, make_rows(shorter).facts
    assert ours["order"] != theirs["order"] and ours["datasets"] != theirs["datasets"]
