import json

import numpy as np
import pytest

from babyvlm_jax.evals.predictors import PredictionsFile
from babyvlm_jax.runtime.errors import UserError
from tests.evals.samples import ITEMS, memory

COUNT, LOCALIZE = ITEMS["count"], ITEMS["localize"]


def write(tmp_path, *lines):
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return PredictionsFile(str(path))


def test_outputs_come_as_they_are(tmp_path):
    file = write(
        tmp_path,
        {"id": "count0", "output": " Seven.\n"},
        {"task": "memory", "id": "memory0", "outputs": ["a"] * 6},
    )
    assert file.generate([memory(6), COUNT]) == [["a"] * 6, [" Seven.\n"]]


def test_a_line_that_names_its_task_comes_first(tmp_path):
    file = write(
        tmp_path,
        {"id": "count0", "output": "1"},
        {"id": "count0", "task": "count", "output": "2"},
    )
    assert file.generate([COUNT]) == [["2"]]


def test_likelihoods(tmp_path):
    likelihoods = {"A": -1.0, "D": -0.5}
    file = write(
        tmp_path, {"id": "localize0", "output": "D", "likelihoods": likelihoods}
    )
    ((found,),) = file.score([LOCALIZE], [[("A", "B", "D")]])
    assert found.tolist() == [-1.0, -np.inf, -0.5]


def test_what_is_missing_is_said(tmp_path):
    file = write(
        tmp_path,
        {"id": "count0", "output": "2"},
        {"id": "memory0", "outputs": ["a"] * 5},
    )
    assert file.problem(COUNT, needs_likelihoods=False) is None
    assert "has no likelihoods" in file.problem(COUNT, needs_likelihoods=True)
    assert "no answer to it" in file.problem(LOCALIZE, False)
    assert "5 answers for 6 rounds" in file.problem(memory(6), False)


def test_unknown_ids(tmp_path):
    file = write(
        tmp_path,
        {"id": "a", "task": "count", "output": "2"},
        {"id": "b", "task": "count", "output": "2"},
        {"id": "b", "task": "lwl", "output": "2"},  # not evaluated: not judged
        {"id": "c", "output": "2"},
        {"id": "d", "output": "2"},
    )
    assert file.unknown({"count": ["a", "c"]}) == [("count", "b"), ("", "d")]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"id": "a"}', '{"output": "a"}', '{"id": "a", "output": 3}']
)
def test_lines_in_another_form_are_named(tmp_path, line):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": "x", "output": "1"}\n\n' + line)
    with pytest.raises(UserError, match=r"jsonl, line 3 is .*expected a JSON object"):
        PredictionsFile(str(path))


def test_two_answers_to_an_item(tmp_path):
    line = {"id": "a", "output": "1"}
    with pytest.raises(UserError, match="line 2: a second answer to 'a'"):
        write(tmp_path, line, line)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        PredictionsFile(str(tmp_path / "none"))
