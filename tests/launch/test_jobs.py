"""Which command lines a job becomes, word by word."""

import json
import pathlib
import shlex

import pytest

from babyvlm_jax.aot.chips import parse_slice
from babyvlm_jax.runtime.errors import UserError
from launch import jobs
from launch.jobs import Job, Run, Zone, read_run

GOLDEN = pathlib.Path(__file__).with_name("golden_argv.json")
TRAIN = Run(
    "train",
    "configs/v2/joint.py:root=gs://b/v2",
    "gs://b/v2/joint",
    ("--config.seed=1",),
)
ZONE = Zone("us-west4-a", "p1")
ONE, TWO = parse_slice("v5litepod-16"), parse_slice("v5e:16x16", 2)


def tpu_job(where=ONE, **changes):
    return Job("demo", TRAIN.command, where=where, **changes)


def lines():
    """Every back-end's argv, for jobs that differ in what matters to it."""
    one, two = tpu_job(), tpu_job(TWO, env=(("XLA_FLAGS", "-x -y"),), code="a b")
    gpus = Job("demo", TRAIN.command, gpus=(2, 8), code="/shared/code")
    image = tpu_job(TWO, code="eu.pkg.dev/p1/r/i:tpu")
    site = jobs.Partition("gpu", "lab", "1-00:00", 120)
    setup = {
        f"setup {n} {word}": [w.replace(str(jobs.ROOT), "ROOT") for w in line]
        for n, job in ((1, one), (2, two))
        for word, line in zip(
            ("make", "copy", "install"), jobs.tpu_vm_setup(job, ZONE), strict=True
        )
    }
    return setup | {
        "tpu_vm 1": jobs.tpu_vm(one, ZONE),
        "tpu_vm 2": jobs.tpu_vm(two, Zone("z")),
        "log 2": jobs.tpu_vm_log(two, ZONE),
        "stop 1": jobs.tpu_vm_stop(one, ZONE),
        "create 1": jobs.queued_create(one, ZONE, spot=True),
        "create 2": jobs.queued_create(two, ZONE, spot=False, account="a@p1"),
        "state": jobs.queued_state(one, ZONE),
        "delete": jobs.queued_delete(two, ZONE),
        "slurm": [
            word.replace(str(jobs.ROOT), "ROOT") for word in jobs.slurm(gpus, site)
        ],
        "gke": jobs.kubectl("lab"),
        "xpk": jobs.xpk(image, "cluster1", ZONE),
        "local": [
            word.replace(str(jobs.ROOT), "ROOT")
            for word in jobs.local(tpu_job(env=(("A", "b"),)), 2, devices=4)
        ],
    }


def test_every_back_end_has_its_golden_command_line():
    """To write them anew: python -m tests.launch.test_jobs."""
    assert lines() == json.loads(GOLDEN.read_text())


def test_a_line_for_the_workers_is_read_by_their_shell_as_it_was_meant():
    line = jobs.tpu_vm(tpu_job(code="it's"), ZONE)[-1].removeprefix("--command=")
    words = shlex.split(line)
    assert words[:3] == ["cd", "it's", "&&"]
    at = words.index("env")
    assert words[at - 1 : at + 2] == ["exec", "env", "BABYVLM_DISTRIBUTED=1"]
    assert tuple(words[at + 2 : at + 2 + len(TRAIN.command)]) == TRAIN.command


def test_a_command_is_read_back_as_the_run_that_it_came_from():
    assert read_run(TRAIN.command) == TRAIN
    assert Run("compile_check", "c.py").command == (
        *("python", "-m", "babyvlm_jax.compile_check", "--config=c.py"),
    )
    apart = "/opt/bin/python3.11 -m babyvlm_jax.train --config c.py --workdir w -x"
    assert read_run(apart.split()) == Run("train", "c.py", "w", ("-x",))
    for other in ("true", "python train.py", "python -m data_prep.build", "python"):
        assert read_run(other.split()) is None
    assert read_run(()) is None


def test_data_is_told_to_a_config_by_its_argument_to_an_evaluation_by_fields():
    assert Run("train", "c.py:smoke").with_data("gs://d").config == (
        "c.py:smoke,data=gs://d"
    )
    assert Run("recipe", "c.py").with_data("d").config == "c.py:data=d"
    assert Run("evaluate", "e.py").with_data("d").overrides == (
        "--config.shards=d/shards",
        "--config.tokenizer=d/tokenizer.model",
    )


@pytest.mark.parametrize("name", ["", "Demo", "1st", "a_b", "a-", "x" * 63, "a b"])
def test_a_name_that_some_back_end_would_refuse_is_refused_here(name):
    with pytest.raises(UserError, match="the name"):
        Job(name, ("true",))


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "api_key", "HF_HUB_AUTH", "WANDB_KEY"),
        *("GH_PAT", "DB_PWD", "MY_PASS", "SSH_PRIVATE", "COOKIE_JAR", "KEY2"),
    ],
)
def test_a_credential_is_not_printed_but_refused(name):
    with pytest.raises(UserError, match=f"--env={name}=... looks like") as stop:
        Job("demo", ("true",), env=((name, "abc123"),))
    assert "abc123" not in str(stop.value)


@pytest.mark.parametrize(
    "value",
    [
        *(f"hf_{'x' * 34}", f"ghp_{'x' * 36}", f"sk-{'x' * 40}", f"AKIA{'A' * 16}"),
        *("https://me:pass@host/x", f"eyJ{'a' * 20}.eyJ", "-----BEGIN RSA KEY-----"),
    ],
)
def test_a_value_that_looks_like_a_credential_is_refused(value):
    with pytest.raises(UserError, match=r"--env=WHAT=\.\.\. looks like") as stop:
        Job("demo", ("true",), env=(("WHAT", value),))
    assert value not in str(stop.value)


def test_other_variables_are_taken():
    names = ("TOKENIZERS_PARALLELISM", "KEYBOARD", "PATH", "AUTHOR", "JAX_PLATFORMS")
    env = tuple((name, "https://host:80/a@b") for name in names)
    assert Job("demo", ("true",), env=env).env == env


def test_a_slice_must_be_named_before_it_is_made():
    for make in (
        lambda job: jobs.queued_create(job, ZONE, spot=False),
        lambda job: jobs.xpk(job, "c", ZONE),
    ):
        with pytest.raises(UserError, match="--type is missing"):
            make(tpu_job(None))


def test_every_slice_that_can_be_named_has_an_image():
    from babyvlm_jax.aot.chips import CHIPS
    from launch.gke.manifest import TPUS

    assert set(jobs.RUNTIMES) == set(TPUS) == set(CHIPS)


def test_what_setup_copies_is_there():
    assert all((jobs.ROOT / name).exists() for name in jobs.CODE)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(lines(), indent=1) + "\n")
