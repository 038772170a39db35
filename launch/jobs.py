"""What is launched, as data, and the command lines by which each back-end starts it.

Nothing here runs anything: functions of a `Job` return argv lists, which `launch.cli`
prints or runs. No credential passes through: machines have a service account.
"""

import dataclasses
import pathlib
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from babyvlm_jax.aot.chips import Slice
from babyvlm_jax.runtime.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "babyvlm_jax"
SEVERAL = ("BABYVLM_DISTRIBUTED", "1")  # the processes find one another
LOG = "run.log"  # on each worker of a TPU VM, in the code's folder
CODE = (
    *("babyvlm_jax", "configs", "data_prep", "launch"),
    *("setup.py", "README.md", "requirements.lock", "requirements-tpu.lock"),
)
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,60}[a-z0-9])?")  # Cloud, Kubernetes and Slurm
# words of names that secrets have, and forms that secrets themselves have
_SECRET = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|COOKIE|API_?KEY"
    r"|(?:^|_)(?:AUTH|AUTHORIZATION|KEYS?|PAT|PASS|PWD|PW|PRIVATE|SIGNATURE|SAS|DSN|JWT)"
    r"\d*(?:_|$)",
    re.I,
)
_SECRET_VALUE = re.compile(
    r"hf_\w{20}|gh[a-z]_\w{20}|github_pat_|glpat-|sk-\w{16}|xox[a-z]-|AKIA\w{12}"
    r"|eyJ[\w-]{10,}\.|-----BEGIN|://[^/\s:@]+:[^/\s@]+@"
)


class Run(NamedTuple):
    """A command of this package that a config drives.

    Attributes:
        module: `train`, `recipe`, `evaluate`, ...
        config: FILE.py or FILE.py:ARGUMENTS.
        workdir: "" if the command has none.
        overrides: all other flags, as they were given.
    """

    module: str
    config: str
    workdir: str = ""
    overrides: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """The words that run it."""
        workdir = (f"--workdir={self.workdir}",) if self.workdir else ()
        config = f"--config={self.config}"
        module = f"{PACKAGE}.{self.module}"
        return ("python", "-m", module, config, *workdir, *self.overrides)

    def with_data(self, data: str) -> "Run":
        """The same run on the `shards/` and `tokenizer.model` in the folder `data`.

        A training config is told by its argument `data=`, which those of `configs/v1`
        and `configs/v2` know; an evaluation by its fields.
        """
        if self.module == "evaluate":
            shards = f"--config.shards={data}/shards"
            tokenizer = f"--config.tokenizer={data}/tokenizer.model"
            return self._replace(overrides=(*self.overrides, shards, tokenizer))
        joint = "," if re.search(r"\.py:", self.config) else ":"
        return self._replace(config=f"{self.config}{joint}data={data}")


def read_run(command: Sequence[str]) -> Run | None:
    """The run that a command stands for; None for any other command."""
    python, *rest = command or [""]
    if not (
        re.fullmatch(r"(.*/)?python[0-9.]*", python)
        and len(rest) > 1
        and rest[0] == "-m"
        and rest[1].startswith(f"{PACKAGE}.")
    ):
        return None
    found = {"config": "", "workdir": ""}
    others, words = [], iter(rest[2:])
    for word in words:
        name, equals, value = word.partition("=")
        if name.lstrip("-") in found and name.startswith("-"):
            found[name.lstrip("-")] = value if equals else next(words, "")
        else:
            others.append(word)
    return Run(rest[1].removeprefix(f"{PACKAGE}."), **found, overrides=tuple(others))


@dataclasses.dataclass(frozen=True)
class Job:
    """One run, or another command, on one kind of machine.

    Attributes:
        name: of the slice, the JobSet or the Slurm job.
        command: what runs in every process.
        where: TPU slices; None where they are not known, or for other machines.
        gpus: (machines, GPUs of each).
        code: the folder of the code on the workers, or a container image.
        env: variables of the command.
    """

    name: str
    command: tuple[str, ...]
    where: Slice | None = None
    gpus: tuple[int, int] = (0, 0)
    code: str = PACKAGE
    env: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"the name {self.name!r} must begin with a letter, have at most 62 "
                "lower-case letters, digits and dashes, and not end with a dash"
            )
        for name, value in self.env:
            if _SECRET.search(name) or _SECRET_VALUE.search(value):
                raise UserError(
                    f"--env={name}=... looks like a credential, which would be printed "
                    "and kept in plain sight; give the machine a service account, or "
                    "mount a secret"
                )

    @property
    def run(self) -> Run | None:
        """The command as a run of this package."""
        return read_run(self.command)

    @property
    def words(self) -> tuple[str, ...]:
        """The command with its variables, for any machine."""
        env = (SEVERAL, *self.env)
        return ("env", *(f"{name}={value}" for name, value in env), *self.command)


@dataclasses.dataclass(frozen=True)
class Zone:
    """Where Cloud keeps a slice; without a project, gcloud's default counts."""

    zone: str
    project: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        project = (f"--project={self.project}",) if self.project else ()
        return (f"--zone={self.zone}", *project)


# --- TPU VMs --------------------------------------------------------------------------

_QUEUED = ("gcloud", "compute", "tpus", "queued-resources")
_TPU_VM = ("gcloud", "compute", "tpus", "tpu-vm")
RUNTIMES = {
    "v4": "tpu-ubuntu2204-base",
    "v5e": "v2-alpha-tpuv5-lite",
    "v5p": "v2-alpha-tpuv5",
    "v6e": "v2-alpha-tpuv6e",
}


def on_workers(job: Job, zone: Zone, line: str, worker: str = "all") -> list[str]:
    """Runs a line of shell on the workers of all slices, at the same time."""
    if job.where and job.where.count > 1:
        node = "all" if worker == "all" else "0"
        program = (*_QUEUED, "ssh", job.name, f"--node={node}", "--batch-size=all")
    else:
        program = (*_TPU_VM, "ssh", job.name)
    alive = "--ssh-flag=-o ServerAliveInterval=30"
    return [*program, *zone.flags, f"--worker={worker}", alive, f"--command={line}"]


def tpu_vm_setup(job: Job, zone: Zone) -> list[list[str]]:
    """Copies the code to all workers and installs it there."""
    several = job.where and job.where.count > 1
    program = (*_QUEUED, "scp") if several else (*_TPU_VM, "scp")
    node = ("--node=all", "--batch-size=all") if several else ()
    files = [str(ROOT / name) for name in CODE]
    place = f"{job.name}:{job.code}"
    where = (*zone.flags, *node, "--worker=all")
    folder = shlex.quote(job.code)
    return [
        on_workers(job, zone, f"mkdir -p {folder}"),
        [*program, "--recurse", *files, place, *where],
        on_workers(job, zone, f"bash {folder}/launch/install.sh tpu"),
    ]


def tpu_vm(job: Job, zone: Zone) -> list[str]:
    """Runs the job on all workers.

    `exec` lets a signal reach the run, not a shell around it; `tee -p` goes on writing
    the log when the connection is gone.
    """
    path = 'PATH="$PWD/.venv/bin:$PATH"'
    line = f"cd {shlex.quote(job.code)} && {path} exec {shlex.join(job.words)}"
    return on_workers(job, zone, f"{line} > >(tee -ap {LOG}) 2>&1")


def tpu_vm_log(job: Job, zone: Zone) -> list[str]:
    """Follows what the first worker prints."""
    log = shlex.quote(f"{job.code}/{LOG}")
    return on_workers(job, zone, f"tail -n 100 -F {log}", worker="0")


def tpu_vm_stop(job: Job, zone: Zone) -> list[str]:
    """Asks what runs on all workers to save and end."""
    return on_workers(job, zone, f"pkill -TERM -f '[-]m {PACKAGE}[.]'")


# --- queued resources -----------------------------------------------------------------


def queued_create(job: Job, zone: Zone, spot: bool, account: str = "") -> list[str]:
    """Asks for the slices; Cloud makes them when there is room.

    Args:
        account: service account of the machines, instead of the project's default.
    """
    if job.where is None:
        raise UserError("--type is missing: which slice, as in --type=v5litepod-16")
    kind = dataclasses.replace(job.where, count=1).name
    nodes = (f"--node-id={job.name}",)
    if job.where.count > 1:
        nodes = (f"--node-count={job.where.count}", f"--node-prefix={job.name}")
    return [
        *(*_QUEUED, "create", job.name, *zone.flags),
        f"--accelerator-type={kind}",
        f"--runtime-version={RUNTIMES[job.where.chip.name]}",
        *nodes,
        *(["--spot"] if spot else []),
        *([f"--service-account={account}"] if account else []),
    ]


def queued_state(job: Job, zone: Zone) -> list[str]:
    """Prints one word, such as ACTIVE or SUSPENDED; fails where there is none."""
    form = "--format=value(state.state)"
    return [*_QUEUED, "describe", job.name, *zone.flags, form]


def queued_delete(job: Job, zone: Zone) -> list[str]:
    """Gives the slices back, or takes the request back."""
    return [*_QUEUED, "delete", job.name, *zone.flags, "--force", "--quiet"]


# --- clusters and this machine --------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Partition:
    """How Slurm shall treat a job; what is empty is left to the site.

    Attributes:
        time: limit, `DAYS-HOURS:MINUTES`.
        grace_s: from the request to stop until the end.
    """

    partition: str = ""
    account: str = ""
    time: str = ""
    grace_s: int = 300


def slurm(job: Job, site: Partition) -> list[str]:
    """One process for each GPU, as JAX expects under Slurm; code is where it lies."""
    machines, gpus = job.gpus
    named = ("partition", "account", "time")
    given = [f"--{n}={getattr(site, n)}" for n in named if getattr(site, n)]
    return [
        *("sbatch", f"--job-name={job.name}", f"--nodes={machines}"),
        *(f"--ntasks-per-node={gpus}", f"--gpus-per-node={gpus}"),
        *("--requeue", f"--signal=TERM@{site.grace_s}", *given),
        *("--open-mode=append", f"--output={job.name}-%j.log"),
        str(ROOT / "launch" / "slurm" / "job.sbatch"),
        *(job.code, *job.words),
    ]


def kubectl(namespace: str) -> list[str]:
    """Submits the manifest on its standard input; see `launch.gke.manifest`."""
    return ["kubectl", "apply", f"--namespace={namespace}", "--filename=-"]


def xpk(job: Job, cluster: str, zone: Zone) -> list[str]:
    """The same job for whoever has xpk and a cluster that it made."""
    if job.where is None:
        raise UserError("--type is missing: which slice, as in --type=v5litepod-16")
    one = dataclasses.replace(job.where, count=1)
    return [
        *("xpk", "workload", "create", f"--cluster={cluster}", *zone.flags),
        *(f"--workload={job.name}", f"--tpu-type={one.name}"),
        *(f"--num-slices={job.where.count}", f"--docker-image={job.code}"),
        f"--command={shlex.join(job.words)}",
    ]


def local(job: Job, processes: int, devices: int = 0) -> list[str]:
    """As several processes on this machine.

    Args:
        devices: CPU devices of each process; 0 leaves the devices to JAX.
    """
    env = [f"{name}={value}" for name, value in job.env]
    env += [f"DEVICES={devices}"] if devices else []
    script = str(ROOT / "launch" / "local.sh")
    return [*(["env", *env] if env else []), script, str(processes), "--", *job.command]
