"""The launch scripts: what they would run, and what becomes of a group."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from babyvlm_jax.runtime.errors import UserError
from launch import clusters, tpu
from launch.running import run_command

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
SCRIPTS = sorted(str(path.relative_to(LAUNCH)) for path in LAUNCH.rglob("*.sh"))
BASH = [*SCRIPTS, "_python", "slurm/job.sbatch"]
IN_PYTHON = {
    "tpu_vm.sh": tpu.tpu_vm,
    "queued_resource.sh": tpu.queued_resource,
    "gke/submit.sh": clusters.gke,
    "slurm/submit.sh": clusters.slurm,
}


def call(script, *args, **environment):
    return subprocess.run(
        [LAUNCH / script, *args],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=LAUNCH.parent,
        env={**os.environ, "PYTHON": sys.executable, **environment},
    )


def local(count, script, **environment):
    """Runs lines of bash as each process of a group."""
    return call("local.sh", str(count), "--", "bash", "-c", script, **environment)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_explains_itself_with_an_example(script):
    told = call(script, "--help")
    assert told.returncode == 0
    assert told.stdout.startswith(f"usage: launch/{script} ")
    assert "--dry-run" in told.stdout
    assert told.stderr == ""


@pytest.mark.parametrize("script", BASH)
def test_bash_can_read_it(script):
    assert subprocess.run(["bash", "-n", LAUNCH / script]).returncode == 0


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not there")
def test_shellcheck_has_nothing_to_say():
    told = subprocess.run(
        ["shellcheck", *(LAUNCH / script for script in BASH)],
        capture_output=True,
        text=True,
    )
    assert told.stdout == ""


@pytest.mark.parametrize("args", [(), ("two", "--", "true"), ("2", "true"), ("2",)])
def test_local_refuses_what_it_does_not_understand(args):
    told = call("local.sh", *args)
    assert told.returncode == 78
    assert told.stderr.startswith("error: launch/local.sh got ")


def test_every_process_gets_its_place_and_its_lines_a_number():
    told = local(
        3,
        'echo "$JAX_PROCESS_ID of $JAX_NUM_PROCESSES at $JAX_COORDINATOR_ADDRESS,'
        ' $JAX_NUM_CPU_DEVICES on $JAX_PLATFORMS"',
        DEVICES="4",
        PORT="29123",
    )
    assert told.returncode == 0
    end = "of 3 at localhost:29123, 4 on cpu"
    wanted = [f"0 {end}", f"[1] 1 {end}", f"[2] 2 {end}"]
    assert sorted(told.stdout.splitlines()) == wanted


def test_a_dry_run_prints_what_each_process_would_be():
    words = ("2", "--dry-run", "--", "python", "-m", "x", "a b")
    told = call("local.sh", *words, DEVICES="4", PORT="29123")
    place = "JAX_COORDINATOR_ADDRESS=localhost:29123 JAX_NUM_PROCESSES=2"
    cpus = "JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=4"
    assert [line.strip() for line in told.stdout.splitlines()] == [
        f"env {place} {cpus} JAX_PROCESS_ID={number} python -m x a\\ b"
        for number in range(2)
    ]


def test_the_devices_are_left_alone_by_default():
    told = local(1, 'echo "$JAX_NUM_CPU_DEVICES"', JAX_NUM_CPU_DEVICES="8")
    assert told.stdout == "8\n"


FAIL = """
trap 'echo "$JAX_PROCESS_ID told to stop"; exit 7' TERM
if [ "$JAX_PROCESS_ID" = 1 ]; then sleep 0.3; exit 3; fi
while true; do sleep 0.1; done
"""


def test_one_failure_stops_the_others_and_is_the_groups_exit_code():
    told = local(3, FAIL)
    assert told.returncode == 3
    assert sorted(told.stdout.splitlines()) == ["0 told to stop", "[2] 2 told to stop"]


def test_a_killed_process_counts_as_failed():
    told = local(2, 'if [ "$JAX_PROCESS_ID" = 1 ]; then kill -9 $$; fi; sleep 0.5')
    assert told.returncode == 128 + signal.SIGKILL


def test_who_does_not_stop_is_killed():
    deaf = 'trap "" TERM; if [ "$JAX_PROCESS_ID" = 0 ]; then exit 5; fi; exec sleep 600'
    assert local(2, deaf, GRACE_S="0").returncode == 5


@pytest.mark.parametrize("ends", ["kill -9 $$", "exit 5"])
def test_what_a_killed_process_started_ends_with_it(tmp_path, ends):
    script = f"""
    trap "" TERM
    sleep 600 &
    echo $! > {tmp_path}/$JAX_PROCESS_ID
    while [ ! -s {tmp_path}/0 ] || [ ! -s {tmp_path}/1 ]; do sleep 0.05; done
    if [ "$JAX_PROCESS_ID" = 1 ]; then echo ends; {ends}; fi
    wait
    """
    told = local(2, script, GRACE_S="0")
    assert told.returncode in (5, 128 + signal.SIGKILL)
    assert told.stdout == "[1] ends\n"
    # the kernel may take a moment to bury it; who exits leaves its own children alone
    for place in ("0", "1") if "kill" in ends else ("0",):
        process = pathlib.Path("/proc", (tmp_path / place).read_text().strip())
        deadline = time.monotonic() + 5
        while process.exists() and "(zombie)" not in (process / "status").read_text():
            assert time.monotonic() < deadline, place
            time.sleep(0.05)


def test_a_preempted_process_does_not_hurry_the_one_that_still_saves():
    saves = """
    trap 'exit 9' TERM
    if [ "$JAX_PROCESS_ID" = 0 ]; then exit 75; fi
    sleep 0.6; echo saved; exit 75
    """
    told = local(2, saves)
    assert (told.returncode, told.stdout) == (75, "[1] saved\n")


def test_a_signal_goes_to_all():
    waits = "trap 'exit 75' TERM; echo here; while true; do sleep 0.1; done"
    with subprocess.Popen(
        [LAUNCH / "local.sh", "2", "--", "bash", "-c", waits],
        stdout=subprocess.PIPE,
        text=True,
    ) as group:
        assert sorted(group.stdout.readline() for _ in "01") == ["[1] here\n", "here\n"]
        group.send_signal(signal.SIGTERM)
        assert group.wait(timeout=60) == 75
        time.sleep(0)


CHECKED = ("python", "-m", "babyvlm_jax.train", "--workdir=gs://b/it's here")
WRONG = "--config=configs/nursery.py:phase=joint,rot=gs://b"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for programs: name -> lines of bash; what they got is in `calls`."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FOLDER", str(tmp_path))

    def make(name, lines):
        path = tmp_path / name
        log = f'printf "%s\\n" "$*" >> {tmp_path}/calls\n'
        path.write_text(f"#!/usr/bin/env bash\n{log}{lines}\n")
        path.chmod(0o755)

    make.calls = lambda: (tmp_path / "calls").read_text().splitlines()
    return make


@pytest.mark.parametrize(
    ("main", "args"),
    [
        (tpu.tpu_vm, ("s1", "--zone=z", "--type=v5litepod-16", "--setup")),
        (tpu.queued_resource, ("create", "s1", "--zone=z", "--type=v5litepod-16")),
        (tpu.queued_resource, ("ensure", "s1", "--zone=z", "--type=v5litepod-16")),
        (clusters.gke, ("j", "--type=v5litepod-16", "--image=i")),
        (clusters.slurm, ("j", "--gpus=8", "--nodes=2")),
    ],
)
def test_a_config_typo_stops_it_before_anything_is_created(main, args, programs):
    for name in ("gcloud", "kubectl", "sbatch"):
        programs(name, "exit 0")
    with pytest.raises(UserError, match="config argument 'rot=gs://b': known are"):
        main([*args, "--", *CHECKED, WRONG])
    with pytest.raises(FileNotFoundError):
        programs.calls()


@pytest.mark.parametrize(
    ("script", "args", "named"),
    [
        ("tpu_vm.sh", ("--zone=z", "--", "true"), "required: NAME"),
        ("tpu_vm.sh", ("s", "--", "true"), "required: --zone"),
        ("tpu_vm.sh", ("s", "--zone=z"), "the command is missing"),
        ("tpu_vm.sh", ("s", "t", "--zone=z", "--", "true"), "arguments: t"),
        ("tpu_vm.sh", ("s", "--zone=z", "--worker=1", "--", "a"), "--worker=1"),
        ("tpu_vm.sh", ("s", "--zone=z", "--type=v5", "--", "a"), "'v5' is not a slice"),
        ("tpu_vm.sh", ("s", "--zone=z", "--slices=2", "--", "a"), "of which kind?"),
        ("tpu_vm.sh", ("s", "--zone=z", "--env=A", "--", "a"), "expected NAME=VALUE"),
        ("tpu_vm.sh", ("s", "--zone=z", "--data=d", "--", "a"), "--data=d is for"),
        ("queued_resource.sh", ("make", "s", "--zone=z"), "'make'"),
        ("queued_resource.sh", ("create", "s", "--zone=z"), "--type is missing"),
        ("gke/submit.sh", ("j", "--", "a"), "--image is missing"),
        ("gke/submit.sh", ("j", "--image=i", "--", "a"), "on what?"),
        ("slurm/submit.sh", ("j", "--", "a"), "required: --gpus"),
        ("babysit.sh", ("true",), "unknown option 'true'"),
        ("babysit.sh", ("--crashes=many", "--", "true"), "'many' is not a number"),
        ("stage.sh", ("data", "a", "b"), "neither 'a' nor 'b'"),
        ("stage.sh", ("all", "a", "gs://b"), "'all' is neither"),
        ("install.sh", ("gpu",), "unknown word 'gpu'"),
    ],
)
def test_a_mistake_is_named(script, args, named, capfd):
    if script in IN_PYTHON:
        with pytest.raises(SystemExit) as stop:
            run_command(IN_PYTHON[script], args)
        code, (out, err) = stop.value.code, capfd.readouterr()
    else:
        told = call(script, *args)
        code, out, err = told.returncode, told.stdout, told.stderr
    assert code == 78
    assert err.startswith("error: ") and err.count("\n") == 1
    assert named in err
    assert out == ""


def test_without_a_dry_run_the_commands_are_run(programs):
    programs("gcloud", "exit 75")
    told = call("tpu_vm.sh", "s1", "--zone=z", "--no-check", "--", "true")
    assert told.returncode == 75
    assert programs.calls()[0].startswith("compute tpus tpu-vm ssh s1 --zone=z")


def test_setup_stops_at_the_first_command_that_fails(programs):
    programs("gcloud", '[[ "$*" != *scp* ]] || exit 3')
    told = call("tpu_vm.sh", "s1", "--zone=z", "--setup", "--", "true")
    assert told.returncode == 3
    assert [line.split()[3] for line in programs.calls()] == ["ssh", "scp"]


def test_a_program_that_is_not_there_is_named():
    told = call("slurm/submit.sh", "j", "--gpus=1", "--", "true", PATH="/usr/bin:/bin")
    assert told.returncode == 78
    assert told.stderr.startswith("error: sbatch is not installed here; --dry-run")


def test_kubectl_gets_the_manifest_on_its_standard_input(programs):
    programs("kubectl", 'cat > "$FOLDER/manifest"')
    args = ("j1", "--type=v5e:4x4", "--image=i", "--namespace=lab", "--", "true")
    assert call("gke/submit.sh", *args).returncode == 0
    assert programs.calls() == ["apply --namespace=lab --filename=-"]
    text = (pathlib.Path(os.environ["FOLDER"]) / "manifest").read_text()
    dry = call("gke/submit.sh", "--dry-run", *args).stdout
    assert dry == f"kubectl apply --namespace=lab --filename=- <<'EOF'\n{text}EOF\n"


STATES = """
case "$*" in
  *describe*) n=$(grep -c describe "$FOLDER/calls"); set -- %s; echo "${!n}";;
esac
"""


def ensure(programs, states):
    programs("gcloud", STATES % states)
    args = ("ensure", "s1", "--zone=z", "--type=v5litepod-16", "--spot")
    told = call("queued_resource.sh", *args)
    return told.returncode, [line.split()[3] for line in programs.calls()]


def test_a_slice_that_is_there_is_left_alone(programs):
    assert ensure(programs, "ACTIVE") == (0, ["describe"])


def test_a_slice_that_is_lost_again_and_again_is_given_up(programs):
    code, done = ensure(programs, " ".join(["FAILED"] * 20))
    assert code == 78
    assert done.count("create") == 5


def test_a_slice_that_was_taken_away_is_made_again_and_installed(programs):
    code, done = ensure(programs, "SUSPENDED SUSPENDED ACTIVE")
    assert code == 75
    assert done == [
        *("describe", "describe", "delete", "create", "describe"),
        *("ssh", "scp", "ssh"),
    ]


def test_a_slice_that_never_was_is_made(programs):
    lines = 'if [[ "$*" == *describe* && ! -e $FOLDER/made ]]; then\n'
    lines += 'echo "ERROR: NOT_FOUND: no such" >&2; exit 1; fi\n'
    lines += (
        'case "$*" in *create*) touch "$FOLDER/made";; *describe*) echo ACTIVE;; esac'
    )
    programs("gcloud", lines)
    args = ("ensure", "s1", "--zone=z", "--type=v5litepod-16")
    assert call("queued_resource.sh", *args).returncode == 75
    assert [line.split()[3] for line in programs.calls()][:4] == [
        *("describe", "describe", "create", "describe"),
    ]


def test_who_cannot_ask_cloud_does_not_make_a_slice(programs):
    programs("gcloud", 'echo "ERROR: please log in" >&2; exit 1')
    told = call("queued_resource.sh", "ensure", "s1", "--zone=z", "--type=v5litepod-16")
    assert told.returncode == 78
    assert "ERROR: please log in" in told.stderr
    assert len(programs.calls()) == 1


def test_a_stage_copies_data_or_a_run(programs):
    programs("gcloud", "")
    for args in (("data", "runs/demo/", "gs://b/demo"), ("run", "gs://b/j", "/tmp")):
        assert call("stage.sh", *args).returncode == 0
    shards, tokenizer, run = programs.calls()
    assert shards.startswith("storage rsync --recursive --exclude=")
    assert shards.endswith(" runs/demo/shards gs://b/demo/shards")
    assert tokenizer.endswith(
        "cp runs/demo/tokenizer.model gs://b/demo/tokenizer.model"
    )
    assert run.endswith(" gs://b/j /tmp")


def test_slurm_puts_a_run_that_has_saved_back_into_the_queue(programs, tmp_path):
    programs("srun", '"${@:2}"')
    programs("scontrol", "")
    job = LAUNCH / "slurm" / "job.sbatch"

    def run(code):
        words = [job, str(tmp_path), "bash", "-c", f"pwd > here; exit {code}"]
        return subprocess.run(words, env={**os.environ, "SLURM_JOB_ID": "7"}).returncode

    assert run(78) == 78
    assert run(75) == 75
    assert (tmp_path / "here").read_text() == f"{tmp_path}\n"
    assert [line.split()[0] for line in programs.calls()] == [
        *("--kill-on-bad-exit=0", "--kill-on-bad-exit=0", "requeue"),
    ]
    assert programs.calls()[-1] == "requeue 7"
