"""Every command of docs/launch.md, dry-run as it stands there."""

import functools
import importlib.util
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from babyvlm_jax import compile_check
from babyvlm_jax.runtime.command import make_flags, parse
from babyvlm_jax.training.settings import TrainSettings
from launch import checking, clusters, eval_jobs, tpu
from tests.launch import test_docker, test_jobs

ROOT = pathlib.Path(__file__).parents[2]
DOC = ROOT / "docs" / "launch.md"
MAINS = {
    "launch/tpu_vm.sh": tpu.tpu_vm,
    "launch/queued_resource.sh": tpu.queued_resource,
    "launch/gke/submit.sh": clusters.gke,
    "launch/slurm/submit.sh": clusters.slurm,
}
SCRIPTS = ("launch/babysit.sh", "launch/stage.sh", "launch/install.sh")
KUBECTL, DOCKER = ("logs", "delete"), ("build", "push")


def commands():
    """The lines of the sh blocks, each as one command."""
    blocks = re.findall(r"^```sh\n(.*?)^```", DOC.read_text(), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def gcloud_tree():
    """All commands and flags of the gcloud that is installed; None if none is."""
    program = shutil.which("gcloud")
    root = pathlib.Path(program or "/").resolve().parent.parent
    path = root / "data" / "cli" / "gcloud_completions.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("gcloud_completions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.STATIC_COMPLETION_CLI_TREE


def bash(words, **environment):
    told = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, **environment},
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.fixture
def dry_run(monkeypatch, capsys):
    """Runs a command of the doc without its effect; returns what it would do."""
    monkeypatch.chdir(ROOT)
    known = functools.lru_cache(checking.check)  # the same run is checked once
    monkeypatch.setattr(checking, "check", known)

    def script(words):
        environment = dict(re.findall(r"^([A-Z]+)=(.*)$", words[0]))
        words = words[1:] if environment else words
        program, *rest = words
        at = rest.index("--") if "--" in rest else len(rest)
        dry = [*rest[:at], "--dry-run", *rest[at:]]
        if program in MAINS:
            assert MAINS[program](dry) == 0
            return capsys.readouterr().out
        if program == "launch/babysit.sh":
            for word in rest[:at]:
                if word.startswith("--ensure="):
                    script(shlex.split(word.partition("=")[2]))
            script(rest[at + 1 :])
        assert program in (*SCRIPTS, "launch/local.sh")
        return bash([program, *dry], **environment)

    def python(words):
        module = words[1]
        if module == "launch.eval_jobs":
            return str(eval_jobs.read_options(words[2:]))
        assert module == "babyvlm_jax.compile_check"
        monkeypatch.setattr(sys, "argv", words[1:])
        flags = make_flags(False, compile_check.FLAGS, TrainSettings)
        return str(parse(words[1:], flags, ["config"]).name)

    def other(program, words):
        if program == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.M)
        elif program == "pip":
            extra = re.fullmatch(r"\.\[(\w+)\]", words[-1])[1]
            assert f'"{extra}": [' in (ROOT / "setup.py").read_text()
        elif program == "docker":
            assert words[0] in DOCKER
            options = dict(re.findall(r"--(\w+)=(\S+)", " ".join(words)))
            assert options.get("target", "tpu") in test_docker.stages()[0]
            assert (ROOT / options.get("file", ".")).exists()
        else:
            assert (program, words[0]) in {("kubectl", verb) for verb in KUBECTL}
        return "nothing to print"

    def run(line):
        words = shlex.split(line)
        if words[0] == "python":
            return python(words[1:])
        if words[0] in ("make", "pip", "docker", "kubectl"):
            return other(words[0], words[1:])
        return script(words)

    return run


@pytest.mark.integration
def test_every_command_of_the_doc_can_be_dry_run(dry_run):
    lines = [line for line in commands() if not line.startswith("gcloud ")]
    assert len(lines) > 20
    for line in lines:
        assert dry_run(line), line


def test_from_nothing_to_a_slice_are_ten_commands():
    text = DOC.read_text()
    part = text[text.index("## From nothing") :]
    block = re.search(r"^```sh\n(.*?)^```", part, re.DOTALL | re.MULTILINE)[1]
    lines = block.replace("\\\n", " ").splitlines()
    assert len(lines) == 10
    for script in ("stage", "queued_resource", "tpu_vm", "babysit"):
        assert any(line.startswith(f"launch/{script}.sh ") for line in lines)


def test_a_command_that_is_wrong_would_be_found(dry_run):
    right = next(line for line in commands() if line.startswith("launch/gke/submit.sh"))
    with pytest.raises(ValueError, match="jiont"):
        dry_run(right.replace("v2/joint.py", "v2/jiont.py"))
    with pytest.raises(ValueError, match="--tpye"):
        dry_run(right.replace("--type", "--tpye"))


def test_all_scripts_are_in_the_doc():
    for path in (ROOT / "launch").rglob("*.sh"):
        assert str(path.relative_to(ROOT)) in DOC.read_text()


TREE = gcloud_tree()


@pytest.mark.skipif(TREE is None, reason="gcloud's list of its flags is not installed")
def test_gcloud_has_every_command_and_flag_that_is_asked_of_it():
    asked = [shlex.split(line) for line in commands() if line.startswith("gcloud ")]
    asked += [line for line in test_jobs.lines().values() if line[0] == "gcloud"]
    stage = bash(["launch/stage.sh", "data", "d", "gs://b", "--dry-run"])
    asked += map(shlex.split, stage.splitlines())
    assert len(asked) > 15
    for words in asked:
        node, rest = TREE, words[1:]
        while rest and rest[0] in node.get("commands", {}):
            node, rest = node["commands"][rest[0]], rest[1:]
        assert not node.get("commands"), f"{words}: no such command"
        flags = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert flags <= {*node["flags"], *TREE["flags"]}, words
