import pytest

from babyvlm_jax.evals.summary import leaderboard, overall
from babyvlm_jax.evals.tasks import TASKS
from tests.evals import contents


def entry(name, score, official=None, protocol="generate", **others):
    """An entry with a written answer that two parsers read differently."""
    task = TASKS[name]

    def metrics(value):
        values = dict.fromkeys(task.metrics, 0.0) | others | {task.primary: value}
        return {key: contents.metric(x, x, x, 0.25, 9) for key, x in values.items()}

    rows = [
        contents.row(task.primary, score, protocol=protocol)
        | {"parser": parser, "metrics": metrics(value)}
        for parser, value in (
            ("strict", score),
            ("official", score if official is None else official),
        )
    ]
    made = contents.entry(name, score, 0, 1, 0.25, rows=rows, primary=task.primary)
    made |= {"rows": rows, "constant": 0.3}
    return contents.evaluation({name: made}).tasks[name]


def test_leaderboard_uses_its_own_names_and_parser():
    tasks = {
        "picture_vocabulary": entry("picture_vocabulary", 0.5, official=0.4),
        "subitize": entry("subitize", 1.0),
        "memory": entry("memory", 0.2),
        "vdr_open": entry("vdr_open", 0.3),
    }
    assert leaderboard(tasks) == {
        "results": {
            "baby_pv": {"acc": 0.4},
            "baby_vdr_open": {"acc_exact": 0.3, "acc_adjacent": 0.0},
            "baby_memory": {
                "acc_learning": 0.0,
                "acc_testing_raw": 0.0,
                "acc_testing_adjusted": 0.2,
            },
        }
    }


def test_winoground_has_three_scores_on_the_leaderboard():
    compared = entry("winoground", 0.3, protocol="match", image=0.4)
    scores = {"group_score": 0.3, "image_score": 0.4, "text_score": 0.0}
    assert leaderboard({"winoground": compared}) == {
        "results": {"baby_winoground": scores}
    }


def test_what_was_not_asked_to_write_is_not_on_the_leaderboard():
    chosen = entry("count", 0.5, protocol="choice")
    assert leaderboard({"count": chosen}) == {"results": {}}


def test_both_rules_of_the_mean():
    tasks = {
        "picture_vocabulary": entry("picture_vocabulary", 0.5),
        "memory": entry("memory", 0.3),
        "vdr_open": entry("vdr_open", 0.9),
        "subitize": entry("subitize", 1.0),
    }
    means = overall(tasks)
    # (.5 + .3 + .9) / 11; eight slots are missing and count 0
    assert means["leaderboard"]["mean"] == pytest.approx(100 * 1.7 / 11)
    assert "baby_winoground" in means["leaderboard"]["missing"]
    assert len(means["leaderboard"]["missing"]) == 8
    # vdr_open stands for no group; what is missing is not counted
    assert means["ours"]["score"] == pytest.approx((0.5 + 0.3 + 1.0) / 3)
    assert means["ours"]["chance"] == pytest.approx(0.25)
    assert means["ours"]["tasks"] == 3
    assert means["ours"]["missing"] == [
        "lwl",
        "localize",
        "leftright",
        "spatialdetails",
        "vdr_binary",
        "compare_synthetic",
        "count",
    ]


def test_nothing_measured():
    means = overall({})
    assert means["leaderboard"]["mean"] == 0
    assert means["ours"]["score"] is None
