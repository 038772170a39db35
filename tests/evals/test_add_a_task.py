"""docs/add_a_task.md: its two files, and nothing else, make a task."""

import json
import pathlib
import re
import sys

import pytest

from babyvlm_jax import evaluate
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.evals import tasks as evaluated
from babyvlm_jax.evals.config import EvalConfig
from configs.eval import devcv
from data_prep.devcv import imports
from data_prep.devcv import tasks as built
from data_prep.devcv.__main__ import main
from tests.data_prep.devcv.coco_fixture import write_world

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "add_a_task.md"
NAME = "odd_one_out"


@pytest.fixture
def _added(tmp_path, monkeypatch):
    """Lists both packages anew, with the page's files in one more folder of each."""
    files = re.findall(r"`(\S+)`:\n\n```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(files) == 2
    for package, (place, content) in zip((evaluated, built), files, strict=True):
        assert place == f"{package.__name__.replace('.', '/')}/{NAME}.py"
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / f"{NAME}.py").write_text(content)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        for task in evaluated.listed(package.__name__, package.__path__):
            monkeypatch.setitem(package.TASKS, task.name, task)
    yield
    for package in (evaluated, built):
        del sys.modules[f"{package.__name__}.{NAME}"]


@pytest.mark.usefixtures("_added")
def test_the_example_is_built_audited_imported_and_evaluated(tmp_path, capsys):
    def run(*flags):
        with pytest.raises(SystemExit) as stop:
            main([*map(str, flags), "--workers=1"])
        assert stop.value.code == 0

    coco, frames = write_world(tmp_path, splits=("test",))
    out = tmp_path / "shards"
    frames = (f"--coco={coco}", f"--frames={frames}")
    run("build", *frames, f"--out={out}", f"--tasks={NAME}", "--test=6")
    records = list(RecordSource(out, f"devcv_{NAME}", "test"))
    answers = {record.id: record.meta["answer"] for record in records}
    assert sorted(answers.values()) == list("AABBCC")
    card = (out / "devcv_card.md").read_text()
    assert "| Odd One Out (`devcv_odd_one_out`) | 0 of" in card
    run("audit", out)
    assert "clean: no fault in 1 datasets" in capsys.readouterr().out
    assert imports.task_named("different_one") == NAME

    answered = [{"task": NAME, "id": i, "output": a} for i, a in answers.items()]
    (tmp_path / "told.jsonl").write_text("\n".join(map(json.dumps, answered)))
    changes = {"tasks": (NAME,), "predictions": str(tmp_path / "told.jsonl")}
    changes["protocols"] = ("generate",)
    cfg = EvalConfig(**{**devcv.get_config().to_dict(), "shards": str(out), **changes})
    (content,) = evaluate.evaluate(cfg, str(tmp_path / "run"))
    assert content.tasks[NAME].score == 1
    assert content.overall[""]["ours"]["tasks"] == 0
