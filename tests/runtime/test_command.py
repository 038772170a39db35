"""Command lines of config-driven commands: what is accepted, how mistakes read."""

import sys

import pytest
from absl import flags

from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.runtime import command

EVAL = "--config=configs/eval/devcv.py"


@pytest.fixture
def run(monkeypatch):
    """Runs a command line; returns (exit code, what main was called with)."""

    def run(*line, workdir=True):
        calls = []
        line = ["command", *line]
        monkeypatch.setattr(sys, "argv", line)  # config_flags looks there
        with pytest.raises(SystemExit) as stop:
            command.run_config_command(
                "Does it.", lambda *a: calls.append(a), EvalConfig, workdir
            )
        return stop.value.code, calls

    return run


def test_a_right_command_line(run):
    code, calls = run(
        f"{EVAL}:size=v2",
        "--config.tasks=('count',)",
        "--config.limit=3",
        "--workdir=w",
    )
    config, workdir = calls[0]
    assert code == 0
    assert workdir == "w"
    assert config.tasks == ("count",)
    assert config.limit == 3


def test_without_a_workdir_main_gets_the_config_alone(run):
    code, calls = run(EVAL, workdir=False)
    assert code == 0
    assert len(calls[0]) == 1


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (("--workdir=w",), "--config is missing"),
        ((EVAL,), "--workdir is missing"),
        (("--config=configs/eval/no.py", "--workdir=w"), "configs/eval/no.py"),
        ((f"{EVAL}:speed=9", "--workdir=w"), "'speed=9'"),
        ((EVAL, "--workdir=w", "--config.oops=1"), "error: config.oops is no key"),
        ((EVAL, "--workdir=w", "--config.limit=x"), "--config.limit=x"),
        ((EVAL, "--workdir=w", "--confi=1"), "confi"),
        ((EVAL, "--workdir=w", "more"), "unexpected argument 'more'"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(run, capsys, line, named):
    code, calls = run(*line)
    told = capsys.readouterr().err
    assert code == 78
    assert not calls
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert named in told


def test_help_shows_the_docstring_and_leaves_well(run, capsys):
    code, calls = run("--help")
    assert code == 0
    assert not calls
    assert capsys.readouterr().out.startswith("Does it.")


def test_commands_share_no_flags(run):
    assert run(EVAL, "--workdir=w")[0] == 0
    assert run(EVAL, "--workdir=w")[0] == 0
    assert "workdir" not in flags.FLAGS
