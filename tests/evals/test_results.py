"""Finding and reading an evaluation: the newest, damaged files, lines of a score."""

import json

import pytest

from babyvlm_jax.evals.results import (
    find_evaluation,
    read_evaluation,
    read_lines,
    read_shown,
)
from babyvlm_jax.runtime.errors import UserError
from tests.evals.contents import content, entry, evaluation

COUNT = entry("Count", 0.5, 0.4, 0.6, 0.1)


def write(folder, text="{}"):
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(text)
    return folder


def test_the_newest_evaluation_is_that_of_the_greatest_step(tmp_path):
    for name in ("9", "10", "10-choice"):
        write(tmp_path / "eval" / name)
    (tmp_path / "eval" / "11").mkdir()
    assert find_evaluation(tmp_path) == tmp_path / "eval" / "10"
    assert find_evaluation(tmp_path, "9") == tmp_path / "eval" / "9"
    assert find_evaluation(tmp_path / "eval" / "9") == tmp_path / "eval" / "9"


def test_other_evaluations_are_named_and_can_be_chosen(tmp_path):
    with pytest.raises(UserError, match="evaluate --workdir="):
        find_evaluation(tmp_path)
    for name in ("9-choice", "theirs"):
        write(tmp_path / "eval" / name)
    for name in ("", "11"):
        with pytest.raises(UserError, match="9-choice, theirs"):
            find_evaluation(tmp_path, name)
    assert find_evaluation(tmp_path, "theirs") == tmp_path / "eval" / "theirs"


def test_what_is_read_is_what_was_written(tmp_path):
    tasks = {"nih/count": COUNT, "nih/lwl": COUNT | {"beyond_context": {"items": 1}}}
    whole = json.loads(json.dumps(content(tasks, sources=("nih",), statistics=2)))
    found = read_evaluation(write(tmp_path / "1", json.dumps(whole)))
    assert json.loads(json.dumps(found.to_json())) == whole
    one = found.tasks["nih/count"]
    assert (one.source, one.name, one.label) == ("nih", "count", "nih: Count")
    assert one.months == "25 to 42 months"


@pytest.mark.parametrize("text", ["{", "{}", '{"tasks": {"count": {}}}', "[]"])
def test_damaged_results_are_named(tmp_path, text):
    with pytest.raises(UserError, match=r"1/results\.json is not"):
        read_evaluation(write(tmp_path / "1", text))


def test_lines_of_a_score_are_the_plain_items(tmp_path):
    plain = {"source": "", "task": "count", "control": "", "protocol": "generate"}
    lines = [{**plain, "id": key} for key in ("b", "a")]
    others = [{**lines[0], "control": "no_text"}, {**lines[0], "protocol": "choice"}]
    tasks, path = evaluation({"count": COUNT}).tasks, tmp_path / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines + others))
    found = read_shown(tmp_path, tasks)
    assert list(found["count"].items()) == [("a", lines[1]), ("b", lines[0])]
    path.write_text('{"task": "count"}')
    with pytest.raises(UserError, match="upgrade"):
        read_shown(tmp_path, tasks)


def test_missing_or_cut_lines_are_named(tmp_path):
    with pytest.raises(UserError, match=r"predictions\.jsonl"):
        read_lines(tmp_path)
    (tmp_path / "predictions.jsonl").write_text('{"task": "co')
    with pytest.raises(UserError, match=r"predictions\.jsonl is damaged"):
        read_lines(tmp_path)
