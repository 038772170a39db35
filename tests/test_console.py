"""The console command: what it lists, what it refuses, what it does not import."""

import json
import pathlib
import subprocess
import sys

import pytest

import babyvlm_jax
from babyvlm_jax import __main__ as console
from babyvlm_jax.runtime.command import CONFIGS, find_config
from babyvlm_jax.runtime.errors import EXIT_USER_ERROR, UserError

ROOT = pathlib.Path(__file__).parents[1]
HEAVY = ("jax", "flax", "tensorstore", "torch")
# Runs `--help` of commands one after the other; ends at one that imports too much.
HELPS = f"""
import contextlib, io, json, runpy, sys
shown = {{}}
for module in sys.argv[1:]:
    module, *words = module.split()
    sys.argv = [module, *words, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.suppress(SystemExit):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    shown[module] = out.getvalue()
    heavy = [name for name in {HEAVY} if name in sys.modules]
    if heavy:
        sys.exit(f"{{module}} --help imports {{heavy}}")
print(json.dumps(shown))
"""


def test_no_help_imports_what_is_heavy_and_each_shows_an_example():
    modules = list(console.COMMANDS.values())
    command = [sys.executable, "-c", HELPS, "babyvlm_jax.evaluate compare", *modules]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [m for m in modules if f"python -m {m}" not in shown[m]] == []


def test_the_list_has_every_command_with_a_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["babyvlm"])
    console.main()
    text = capsys.readouterr().out
    for name, module in console.COMMANDS.items():
        assert f"  {name} " in text
        assert console.summary(module) in text


@pytest.mark.parametrize("words", [["trian"], ["prep"], ["prep", "x"], ["launch", "x"]])
def test_an_unknown_command_is_refused(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["babyvlm", *words])
    with pytest.raises(SystemExit) as stop:
        console.main()
    assert stop.value.code == EXIT_USER_ERROR


def test_a_config_has_a_name_and_a_path_goes_before_it(tmp_path, monkeypatch):
    expected = str(CONFIGS / "v2" / "joint.py")
    monkeypatch.chdir(tmp_path)
    for name in ("v2/joint", "v2/joint.py", "configs/v2/joint.py"):
        assert find_config(name) == expected
    (tmp_path / "configs" / "v2").mkdir(parents=True)
    (tmp_path / "configs" / "v2" / "joint.py").touch()
    assert find_config("configs/v2/joint.py") == "configs/v2/joint.py"
    with pytest.raises(UserError):
        find_config("v2/jonit")


@pytest.mark.slow
def test_what_is_installed_works_from_any_folder(tmp_path):
    build = [sys.executable, "setup.py", "-q", "build", "--build-lib", tmp_path / "lib"]
    subprocess.run([*build, "--build-base", tmp_path / "base"], check=True, cwd=ROOT)

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "babyvlm_jax", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path / "lib"), "PATH": "/usr/bin:/bin"},
        )

    assert run("--version").stdout.strip() == babyvlm_jax.__version__
    raw = ["--out=raw", "--size=0.01h", "--workers=2", "--resolution=64x48"]
    made = run("prep", "nursery", *raw)
    assert made.returncode == 0, made.stderr
    flags = ["--config=prep/nursery", "--config.raw=raw", "--config.out=shards"]
    made = run("prep", "build", *flags)
    assert made.returncode == 0, made.stderr
    assert "launch/local.sh" in run("launch", "local", "--help").stdout
    assert run("launch", "eval-jobs", "--help").returncode == 0
