import numpy as np
import pytest

from babyvlm_jax.evals.controls import guess
from babyvlm_jax.evals.scoring import chance_metrics
from babyvlm_jax.evals.tasks import TASKS
from tests.evals.samples import ITEMS, memory


@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("memory", [memory(15), memory(6, name="m6", labels=False)]),
        ("vdr_open", [ITEMS["vdr_open"]] * 2),
        ("vdr_binary", [ITEMS["vdr_binary"]]),
    ],
)
def test_guessers_score_chance_on_average(name, items):
    task = TASKS[name]
    found = guess(task, items, seed=0)
    assert set(found) == set(task.metrics)
    for metric, values in found.items():
        chance = np.mean([chance_metrics(task, item)[metric] for item in items])
        # four standard errors of a mean of 10,000 values in [0, 1]
        assert values.mean() == pytest.approx(chance, abs=4 * 0.5 / 100)
        again = guess(task, items, seed=0)[metric]
        assert (values == again).all()


def test_a_dialogue_has_more_spread_than_its_objects_alone():
    """Six rounds of b = 2: an object needs both of its rounds, so 0, 1/2 or 1."""
    found = guess(TASKS["memory"], [memory(6)], seed=0)["adjusted"]
    assert sorted(set(found)) == [0, 0.5, 1]
    assert (found == 1).mean() == pytest.approx(1 / 16, abs=0.01)


def test_right_or_wrong_items_need_no_simulation():
    assert guess(TASKS["count"], [ITEMS["count"]], seed=0) == {}
