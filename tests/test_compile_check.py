"""The command: what it answers to bad input, and what it prints."""

import importlib.util

import pytest

from babyvlm_jax import compile_check
from babyvlm_jax.runtime.command import run_config_command
from tests.aot.checks import FITS, TOO_LARGE

CONFIG = "--config=configs/v2/joint.py:smoke"


def run(capsys, *flags):
    """Exit code, standard output and error of the command."""
    argv = ["compile_check", CONFIG, *flags]
    with pytest.raises(SystemExit) as stopped:
        run_config_command(
            compile_check.__doc__,
            compile_check.main,
            workdir=False,
            argv=argv,
            extra=compile_check.FLAGS,
        )
    captured = capsys.readouterr()
    return stopped.value.code, captured.out, captured.err


def test_an_unknown_slice(capsys):
    code, _, error = run(capsys, "--topology=v5e:5x5")
    assert code == 78
    assert error.startswith("error: --topology='v5e:5x5' is not a slice")
    assert "v6e:{2x2,2x4,4x4" in error


def test_no_compiler(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, _, error = run(capsys, "--topology=v5e:4x4")
    assert code == 78
    assert "libtpu, the compiler, is not installed; pip install 'jax[tpu]==" in error


@pytest.fixture
def answers(monkeypatch):
    """Gives the answers of the list in turn instead of compiling."""
    given = []
    monkeypatch.setattr(
        compile_check, "compile_one", lambda run, where, what: given.pop(0)
    )
    return given


def test_a_program_that_fits(capsys, answers, tmp_path):
    answers.append(FITS)
    path = tmp_path / "check.json"
    code, out, _ = run(capsys, "--topology=v5e:4x4", f"--out={path}")
    assert code == 0
    assert out.startswith("joint: train on v5litepod-16")
    assert path.exists()


def test_a_program_that_does_not_fit(capsys, answers):
    answers.append(TOO_LARGE)
    code, out, error = run(capsys, "--topology=v5e:4x4")
    assert code == 78
    assert "headroom        -4.25" in out
    assert error == (
        "error: joint needs 20.00 GiB of 15.75 on v5litepod-16; largest: "
        "6.00 GiB f32[2,8192,6016] (HLO temp; loss/logits); "
        "set config.model.decoder.remat to 'full'\n"
    )


def test_a_sweep_ends_with_the_best_first(capsys, answers):
    # Only the first choice fits: each policy ends at its first batch.
    answers += [FITS] + [TOO_LARGE] * 20
    code, out, _ = run(capsys, "--topology=v5e:4x4", "--sweep")
    assert code == 0
    _, _, table = out.partition("best first")
    lines = table.splitlines()[3:]
    assert "500-850" in lines[0]
    assert all("does not fit" in line for line in lines[1:])
