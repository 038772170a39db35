"""The table: a file a row, and only what is missing is compiled."""

import dataclasses
import json
import subprocess

import ml_collections
import pytest

from babyvlm_jax.aot import __main__ as table
from babyvlm_jax.aot import printing
from babyvlm_jax.aot.check import read_json, write_json
from babyvlm_jax.runtime.errors import UserError
from configs import tpu
from tests.aot.checks import FITS, TOO_LARGE

ROW = {
    "config": "configs/v2/joint.py",
    "topology": "v5e:4x4",
    "slices": 1,
    "what": "train",
    "changes": ("mesh.data=2", "mesh.fsdp=8"),
}


def test_a_row_is_a_command():
    assert table.arguments(ROW) == [
        "--config=configs/v2/joint.py",
        "--topology=v5e:4x4",
        "--slices=1",
        "--what=train",
        "--config.mesh.data=2",
        "--config.mesh.fsdp=8",
    ]


@pytest.fixture
def compiled(monkeypatch):
    """Commands that would have been run; the second row is too large."""
    commands = []

    def run(command, **kwargs):
        commands.append(command)
        path = table.pathlib.Path(command[-1].removeprefix("--out="))
        write_json(path, TOO_LARGE if "v4" in path.name else FITS)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(table.subprocess, "run", run)
    return commands


def test_what_is_there_is_not_compiled_again(compiled, tmp_path, capsys):
    config = ml_collections.ConfigDict({"rows": (ROW,)})
    table.main(config, str(tmp_path))
    table.main(config, str(tmp_path))
    assert len(compiled) == 1
    expected = printing.table([FITS]) + "\n"
    assert (tmp_path / "table.md").read_text() == expected
    assert capsys.readouterr().out == 2 * expected
    config.rows = ({**ROW, "changes": ()},)
    table.main(config, str(tmp_path))
    assert len(compiled) == 2


def test_a_row_that_does_not_fit_is_in_the_table_and_fails_it(compiled, tmp_path):
    rows = (ROW, {**ROW, "topology": "v4:2x2x4"})
    with pytest.raises(UserError, match="1 of 2 rows failed"):
        table.main(ml_collections.ConfigDict({"rows": rows}), str(tmp_path))
    assert "does not fit" in (tmp_path / "table.md").read_text()


def test_a_row_that_breaks_says_why(monkeypatch, tmp_path, capsys):
    def run(command, **kwargs):
        return subprocess.CompletedProcess(command, 78, "", "noise\nerror: no libtpu\n")

    monkeypatch.setattr(table.subprocess, "run", run)
    _, words = table.compile_row(ROW, tmp_path)
    assert words.endswith("--config.mesh.fsdp=8: error: no libtpu")


@pytest.mark.parametrize("check", [FITS, TOO_LARGE])
def test_a_check_survives_its_file(check, tmp_path):
    path = tmp_path / "check.json"
    write_json(path, check)
    assert read_json(path) == check
    assert [one.name for one in tmp_path.iterdir()] == ["check.json"]
    assert json.loads(path.read_text())["peak"] == dataclasses.asdict(check)["peak"]


def test_the_published_table_has_every_phase_on_every_slice():
    rows = tpu.get_config("").rows
    assert len(rows) == len(tpu.SLICES) * len(tpu.PHASES)
    assert len({tuple(table.arguments(row)) for row in rows}) == len(rows)
    assert len(tpu.get_config("slice=v5e-16").rows) == len(tpu.PHASES)
    assert len(tpu.get_config("slice=v5e-16,phase=joint").rows) == 1
