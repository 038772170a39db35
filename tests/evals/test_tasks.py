import pytest

from babyvlm_jax.evals.tasks import DEVCV, TASKS, V1, select_tasks
from babyvlm_jax.runtime.errors import UserError

OURS = {name: task for name, task in TASKS.items() if task.benchmark == DEVCV}


def test_twelve_tasks_ten_of_them_headline_one_a_group():
    assert len(OURS) == 12
    headline = [task.group for task in OURS.values() if task.headline]
    assert len(headline) == len(set(headline)) == 10
    assert {name for name, task in OURS.items() if not task.headline} == {
        "vdr_open",
        "compare_real",
    }


def test_held_out_tasks_are_those_without_training_data():
    assert {name for name, task in OURS.items() if task.held_out} == {
        "lwl",
        "subitize",
    }


def test_mean_chance_of_the_ten_tuned_tasks_is_the_papers_random_score():
    tuned = [task for task in OURS.values() if not task.held_out]
    mean = sum(task.chance[task.primary] for task in tuned) / len(tuned)
    assert mean == pytest.approx(0.3125)  # the paper's random: 31.8


def test_primary_is_one_of_the_metrics():
    assert all(task.primary in task.metrics for task in TASKS.values())
    assert TASKS["memory"].metrics == ("learning", "raw", "adjusted")
    assert TASKS["count"].dataset == "devcv_count"


def test_select_keeps_the_order_of_the_table():
    names = [task.name for task in select_tasks(["count", "lwl"])]
    assert names == ["lwl", "count"]
    assert len(select_tasks(["devcv"])) == 12
    assert len(select_tasks(["all"])) == 16


def test_the_four_of_v1_can_be_selected_together():
    found = select_tasks(["v1"])
    assert [task.name for task in found] == [
        *("labeled_s", "vtwt", "winoground", "caption")
    ]
    assert {task.benchmark for task in found} == {V1}
    assert [task.dataset for task in found][:2] == ["v1_labeled_s", "v1_vtwt"]
    assert next(task.name for task in select_tasks(["v1", "count"])) == "count"


@pytest.mark.parametrize("names", [["counting"], []])
def test_select_names_what_is_unknown(names):
    with pytest.raises(UserError, match="picture_vocabulary"):
        select_tasks(names)
