"""The commands behind `launch/tpu_vm.sh` and `launch/queued_resource.sh`."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from babyvlm_jax.runtime.errors import EXIT_PREEMPTED, UserError
from launch import jobs
from launch.running import (
    Parser,
    add_job_options,
    add_slice_options,
    call,
    call_all,
    check_first,
    make_job,
    need_command,
    run_command,
)

ACTIVE, NONE = "ACTIVE", "NONE"
LOST = ("SUSPENDING", "SUSPENDED", "FAILED", "DELETING")
POLL_S = 30  # ours: Cloud takes minutes to make a slice
TRIES = 5  # ours: a spot slice may be lost again before it is ready

TPU_VM = """\
Runs COMMAND on every worker of the slice NAME, as one run: a process each, which find
one another. The config is checked here first. The code must lie on every worker already
(see --setup), and --workdir must be a bucket, which all of them see.

  launch/tpu_vm.sh slice1 --zone=us-west4-a --setup
  launch/tpu_vm.sh slice1 --zone=us-west4-a --type=v5litepod-16 -- \\
      python -m babyvlm_jax.train --config=configs/v2/joint.py:root=gs://b/v2 \\
      --workdir=gs://b/v2/joint

The exit code is gcloud's; where that is 75, the run has saved and wants to be started
again, which launch/babysit.sh does. Call it from a machine that stays on, under tmux or
the like; if the connection is lost all the same, the run goes on and --log shows it.
"""

QUEUED = """\
Rents TPU slices: asks for them, waits, gives them back.

  create   ask for the slices; Cloud makes them when there is room
  wait     until they are there; exit code 75 if they were lost, or cannot be made
  ensure   exit code 0 if they are there; else create, wait and install, then 75
  state    print WAITING_FOR_RESOURCES, ACTIVE, SUSPENDED, ..., or NONE
  delete   give them back; nobody else does, and they cost until then

  launch/queued_resource.sh create slice1 --zone=us-west4-a --type=v5litepod-16 --spot
  launch/queued_resource.sh wait slice1 --zone=us-west4-a
  launch/queued_resource.sh delete slice1 --zone=us-west4-a

A spot slice costs less and can be taken away at any time; it is then SUSPENDED for
good, and `ensure` deletes it and asks for another. A command behind -- is checked
first, as launch/tpu_vm.sh would, so that no slice is made for a config that cannot run
on it:

  launch/queued_resource.sh create ... -- python -m babyvlm_jax.train --config=...
"""


def add_place(parser: Parser) -> None:
    """The slice's name and place."""
    parser.add_argument("name", metavar="NAME", help="of the slice")
    parser.add_argument("--zone", required=True, help="of the slice")
    parser.add_argument("--project", default="", help="if it is not gcloud's default")
    add_slice_options(parser)
    add_job_options(parser, jobs.PACKAGE, "the code's folder on the workers")


def zone_of(options: argparse.Namespace) -> jobs.Zone:
    return jobs.Zone(options.zone, options.project)


def tpu_vm(argv: Sequence[str]) -> int:
    """`launch/tpu_vm.sh`."""
    usage = "NAME --zone=ZONE [OPTIONS] -- COMMAND..."
    parser = Parser("launch/tpu_vm.sh", usage, TPU_VM)
    add_place(parser)
    other = parser.add_mutually_exclusive_group()
    own = {
        "setup": "first copy this folder to the workers and install it there",
        "log": "show what the first worker prints, until Ctrl-C",
        "stop": "ask the run to save and end",
    }
    for name, text in own.items():
        other.add_argument(f"--{name}", action="store_true", help=text)
    options = parser.read(argv)
    job, zone = make_job(options, options.name), zone_of(options)
    if options.log or options.stop:
        line = jobs.tpu_vm_log if options.log else jobs.tpu_vm_stop
        return call(line(job, zone), options.dry_run)
    if not options.setup:
        need_command(options)
    check_first(job, options)
    commands = jobs.tpu_vm_setup(job, zone) if options.setup else []
    if options.command:
        commands.append(jobs.tpu_vm(job, zone))
    return call_all(commands, options.dry_run)


def queued_resource(argv: Sequence[str]) -> int:
    """`launch/queued_resource.sh`."""
    parser = Parser("launch/queued_resource.sh", "ACTION NAME [OPTIONS]", QUEUED)
    parser.add_argument("action", metavar="ACTION", choices=sorted(_ACTIONS))
    add_place(parser)
    add = parser.add_argument
    add("--spot", action="store_true", help="cheaper, and can be taken away")
    add("--account", default="", help="service account of the machines")
    options = parser.read(argv)
    job = make_job(options, options.name)
    check_first(job, options)
    return _ACTIONS[options.action](job, zone_of(options), options)


def _create(job, zone, options) -> int:
    command = jobs.queued_create(job, zone, options.spot, options.account)
    return call(command, options.dry_run)


def _state(job, zone, options) -> int:
    command = jobs.queued_state(job, zone)
    if options.dry_run:
        return call(command, True)
    print(state_of(command))
    return 0


def _delete(job, zone, options) -> int:
    return call(jobs.queued_delete(job, zone), options.dry_run)


def _wait(job, zone, options) -> int:
    command = jobs.queued_state(job, zone)
    if options.dry_run:
        return call(command, True)
    before = ""
    while (state := state_of(command)) != ACTIVE:
        if state != before:
            print(f"{job.name}: {state}", file=sys.stderr, flush=True)
        if state in (*LOST, NONE):
            return EXIT_PREEMPTED
        before = state
        time.sleep(POLL_S)
    return 0


def _ensure(job, zone, options) -> int:
    if not options.dry_run and state_of(jobs.queued_state(job, zone)) == ACTIVE:
        return 0
    for _ in range(TRIES):
        code = _make(job, zone, options)
        if code != EXIT_PREEMPTED:
            break
    else:
        raise UserError(
            f"{job.name} was refused or lost {TRIES} times while it was waited for; "
            "look at it with gcloud compute tpus queued-resources describe"
        )
    code = code or call_all(jobs.tpu_vm_setup(job, zone), options.dry_run)
    return code or (0 if options.dry_run else EXIT_PREEMPTED)


def _make(job, zone, options) -> int:
    """Makes what is not there, or waits for what is on its way."""
    state = NONE
    if options.dry_run:
        _wait(job, zone, options)
    else:
        state = state_of(jobs.queued_state(job, zone))
    code = 0
    if options.dry_run or state in LOST:
        code = _delete(job, zone, options)
    if not code and (options.dry_run or state in (*LOST, NONE)):
        code = _create(job, zone, options)
    return code or _wait(job, zone, options)


def state_of(command: Sequence[str]) -> str:
    """What Cloud says about the request; NONE if it knows of none.

    Raises:
        UserError: gcloud is not installed, or could not ask.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("gcloud is not installed here; see docs/launch.md") from None
    if done.returncode == 0:
        return done.stdout.strip()
    if "NOT_FOUND" in done.stderr or "not found" in done.stderr:
        return NONE
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    raise UserError(f"gcloud could not tell the state: {last}")


_ACTIONS = {
    "create": _create,
    "wait": _wait,
    "ensure": _ensure,
    "state": _state,
    "delete": _delete,
}
_SCRIPTS = {"tpu_vm": tpu_vm, "queued_resource": queued_resource}

if __name__ == "__main__":
    run_command(_SCRIPTS[sys.argv[1]], sys.argv[2:])
