"""Controls that need no model, and problems; whole runs are in tests/test_evaluate."""

import pytest

from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.evals.controls import best_constant, control_lines
from babyvlm_jax.evals.items import ItemSet, Problem
from babyvlm_jax.evals.run import report_problems
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from tests.evals.samples import QUADRANTS, memory, record

LOCALIZE = TASKS["localize"]
ITEMS = [record("localize", QUADRANTS, a, name=f"i{k}") for k, a in enumerate("AAABC")]


def test_best_constant_answer():
    assert best_constant(LOCALIZE, ITEMS) == "A"
    # always B is right in every round but the first, which asks for A
    assert best_constant(TASKS["memory"], [memory(6)]) == "B"


def test_controls_without_a_model(tmp_path):
    train = [record("localize", QUADRANTS, "C", name="t")]
    write_dataset(tmp_path, LOCALIZE.dataset, {"train": train, "test": ITEMS}, "tests")
    lines = control_lines(ItemSet("nih", str(tmp_path), LOCALIZE, "test"), ITEMS)
    found = {}
    for line in lines:
        assert (line["source"], line["protocol"]) == ("nih", "")
        found.setdefault(line["control"], []).append(line["correct"])
    assert found == {
        "constant": [True, True, True, False, False],
        "prior": [False, False, False, False, True],  # what training makes likeliest
    }


def test_problems_are_named_and_counted(capsys):
    problems = [Problem("count", f"c{k}", "no picture") for k in range(5)]
    report_problems(problems, strict=False)
    assert capsys.readouterr().out.splitlines() == [
        "left out: count, item 'c0': no picture",
        "left out: count, item 'c1': no picture",
        "left out: count, item 'c2': no picture",
        "left out: 2 more of count",
    ]
    with pytest.raises(UserError, match="5 problems, the first: count, item 'c0'"):
        report_problems(problems, strict=True)
    report_problems([], strict=True)
