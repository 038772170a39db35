import pytest

from babyvlm_jax.evals.results import leaderboard, summarize, table
from babyvlm_jax.evals.tasks import TASKS


def entry(name, values, metric="accuracy"):
    task = TASKS[name]
    predictions = [
        {"metrics": dict.fromkeys(task.metrics, 0.0) | {metric: value}}
        for value in values
    ]
    return summarize(task, task.mechanism, predictions, constant=0.25, seed=0)


def test_entry_has_the_fields_of_the_contract():
    count = entry("count", [1.0] * 30 + [0.0] * 70)
    assert count["title"] == "Object Counting"
    assert count["domain"] == "Math"
    assert (count["headline"], count["held_out"]) == (True, False)
    assert (count["mechanism"], count["primary"]) == ("generate", "accuracy")
    assert (count["n"], count["score"]) == (100, pytest.approx(0.3))
    assert count["chance"] == pytest.approx(1 / 12)
    assert count["constant"] == 0.25
    low, high = count["interval"]
    assert 0.18 < low < 0.25 < 0.35 < high < 0.42
    assert count["above_chance"]
    assert count["metrics"] == {
        "accuracy": {
            "value": pytest.approx(0.3),
            "interval": [low, high],
            "n": 100,
            "chance": pytest.approx(1 / 12),
        }
    }


def test_above_chance_needs_the_whole_interval():
    assert not entry("lwl", [1.0] * 55 + [0.0] * 45)["above_chance"]
    assert entry("lwl", [1.0] * 70 + [0.0] * 30)["above_chance"]


def test_memory_scores_by_its_adjusted_metric():
    memory = entry("memory", [0.2, 0.6], metric="adjusted")
    assert memory["score"] == pytest.approx(0.4)
    assert memory["metrics"]["raw"]["value"] == 0.0


def test_leaderboard_uses_its_own_names():
    tasks = {
        "picture_vocabulary": entry("picture_vocabulary", [1.0, 0.0]),
        "subitize": entry("subitize", [1.0]),
        "memory": entry("memory", [0.2], metric="adjusted"),
    }
    assert leaderboard(tasks) == {
        "results": {
            "baby_pv": {"acc": 0.5},
            "baby_memory": {
                "acc_learning": 0.0,
                "acc_testing_raw": 0.0,
                "acc_testing_adjusted": 0.2,
            },
        }
    }


def test_table_marks_what_is_not_above_chance():
    tasks = {"lwl": entry("lwl", [1.0, 0.0]), "count": entry("count", [1.0] * 9)}
    assert table(tasks).splitlines() == [
        "task                              score    95 % interval  chance     n",
        "Looking While Listening            50.0     0.0 to 100.0    50.0     2"
        "  not above chance",
        "Object Counting                   100.0   100.0 to 100.0     8.3     9",
    ]
