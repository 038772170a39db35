"""Benchmarks many checkpoints, in as many jobs as there are groups of tasks.

    python -m launch.eval_jobs --checkpoints='runs/demo/instruct/checkpoints/*' \\
        --configs=configs/eval/devcv.py --data=runs/demo --workdir=runs/demo/curves
    ... --watch                  go on, and evaluate what a training run still writes
    ... --group-by=task          a job for each task, instead of each domain
    ... --backend=gke --with='--type=v5litepod-4 --image=IMAGE'
    ... --backend=slurm --with='--gpus=1 --time=2:00:00'
    ... --backend=tpu_vm --with='slice1 --zone=ZONE'
    ... --config.limit=50        changes the configs, as python -m babyvlm_jax.evaluate

Jobs that have results are left out, and a job that was stopped goes on in the middle of
a task, so the same command ends what it began. When all jobs of a checkpoint are done,
WORKDIR/eval/STEP/ is what one evaluation would have written; WORKDIR/checkpoints.md has
a row for each checkpoint; and the runs get their scores back, in RUN/eval_metrics.jsonl
and TensorBoard. A cluster is only asked: run the command again, or with --watch, to
merge what its jobs have written.

Train with --config.keep=N or --config.keep_every=M, or the checkpoints are gone before
they are read.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence

import jax
from etils import epath

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.config import EvalConfig, expand, run_of
from babyvlm_jax.runtime.command import make_flags, parse
from babyvlm_jax.runtime.errors import EXIT_PREEMPTED, UserError
from babyvlm_jax.runtime.fields import from_dict
from babyvlm_jax.runtime.files import is_there, split_list, write_atomically
from babyvlm_jax.runtime.processes import Child
from launch import eval_curves
from launch.eval_plan import GROUPINGS, Piece, Plan, merge
from launch.jobs import ROOT, Run
from launch.running import Parser, call, run_command

# back-end -> its script; each is given the job's name, but for a slice, which has one
SCRIPTS = {"gke": "gke/submit.sh", "slurm": "slurm/submit.sh", "tpu_vm": "tpu_vm.sh"}
WAITS = ("local", "tpu_vm")  # back-ends whose command ends with the job


def read_options(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    usage = "--checkpoints=PATHS --configs=FILES --workdir=DIR [OPTIONS]"
    parser = Parser("python -m launch.eval_jobs", usage, __doc__)
    add = parser.add_argument
    add("--checkpoints", required=True, help="paths or patterns, with commas")
    add("--configs", default="configs/eval/devcv.py", help="files, with commas")
    add("--workdir", required=True, help="gets the results")
    add("--data", required=True, help="folder of shards/ and tokenizer.model")
    add("--backend", default="local", choices=("local", *sorted(SCRIPTS)))
    add("--with", default="", dest="extra", metavar="WORDS", help="for its script")
    add("--group-by", default=GROUPINGS[0], choices=GROUPINGS)
    add("--watch", action="store_true", help="until the runs are done")
    add("--every", type=float, default=60.0, metavar="S", help="look so often (60)")
    options, overrides = parser.parse_known_args(list(argv))
    wrong = [word for word in overrides if not word.startswith("--config.")]
    if wrong:
        raise UserError(f"unknown option {wrong[0]!r}; see {parser.prog} --help")
    options.overrides = tuple(overrides)
    return options


def make_plans(options: argparse.Namespace) -> list[Plan]:
    """A plan for each config.

    Raises:
        UserError: a config, or what it names, is wrong.
    """
    plans = []
    for config in split_list(options.configs, is_there):
        run = Run("evaluate", config, "", options.overrides).with_data(options.data)
        given = f"--config.checkpoint={options.checkpoints}"
        words = ["evaluate", f"--config={config}", *run.overrides, given]
        values = parse(
            words, make_flags(workdir=False, settings=EvalConfig), ["config"]
        ).to_dict()
        cfg = from_dict(EvalConfig, values)
        plans.append(
            Plan(config, run.overrides, cfg, options.workdir, options.group_by)
        )
    folders = [plan.cfg.suffix for plan in plans]
    if len(set(folders)) < len(folders):
        raise UserError(
            f"--configs={options.configs}: two of them would write to the same folder; "
            "give each its own --workdir"
        )
    return plans


def command_of(piece: Piece, backend: str, extra: str) -> list[str]:
    """The command that runs or submits a job."""
    run = Run("evaluate", piece.plan.config, piece.workdir, piece.overrides)
    if backend == "local":
        _, *words = run.command
        # The lock ends with the job, even if that outlives this program.
        locked = ("-m", "babyvlm_jax.runtime.lock", piece.workdir)
        return [sys.executable, *locked, sys.executable, *words]
    name = [] if backend == "tpu_vm" else [piece.name]
    script = str(ROOT / "launch" / SCRIPTS[backend])
    return [script, *name, *shlex.split(extra), "--", *run.command]


class Runner:
    """Starts jobs, each once."""

    def __init__(self, options: argparse.Namespace):
        self._options = options
        self._child = Child()
        self._submitted: set[str] = set()
        self.failed: dict[str, int] = {}

    def start(self, pieces: Sequence[Piece]) -> None:
        """Starts those without results; waits for each where the back-end does.

        Raises:
            SystemExit: asked to stop, with code 75.
        """
        for number, piece in enumerate(pieces, 1):
            if piece.workdir in self._submitted or piece.workdir in self.failed:
                continue
            command = command_of(piece, self._options.backend, self._options.extra)
            if self._options.dry_run:
                call(command, True)
                continue
            print(f"[{number}/{len(pieces)}] {piece.name}", file=sys.stderr, flush=True)
            code = self._child.run(command)
            if code == EXIT_PREEMPTED:
                raise SystemExit(code)
            if code:
                self.failed[piece.workdir] = code
            elif self._options.backend in WAITS:
                merge(piece.plan, piece.target)  # its run may remove it any time
            else:
                self._submitted.add(piece.workdir)

    def rest(self) -> None:
        """Waits until it is time to look again.

        Raises:
            SystemExit: asked to stop, with code 75.
        """
        end = time.monotonic() + self._options.every
        while time.monotonic() < end:
            if self._child.stopped:
                raise SystemExit(EXIT_PREEMPTED)
            time.sleep(min(1.0, self._options.every))


def missing(plans: Sequence[Plan]) -> list[Piece]:
    """The jobs without results."""
    return [
        piece
        for plan in plans
        for target in plan.targets()
        if not plan.is_done(target)
        for piece in plan.pieces(target)
        if piece.result() is None
    ]


def gather(plans: Sequence[Plan], workdir: str) -> list[tuple[str, ...]]:
    """Merges what is whole, writes the table and the runs' curves.

    Checkpoints that their run has removed since they were evaluated are shown too.

    Returns:
        The rows of the table; none if there is nothing yet.
    """
    results, runs = {}, {}
    for plan in plans:
        for target in plan.targets():
            merge(plan, target)
        results |= plan.evaluated()
    if not results:
        return []
    found = eval_curves.rows(results)
    text = tables.markdown(found)
    path = epath.Path(workdir) / "checkpoints.md"
    if not path.exists() or path.read_text() != text:
        write_atomically(path, text.encode())
    for one in results.values():
        runs.setdefault(run_of(one.checkpoint), []).append(one)
    for run, several in runs.items():
        if epath.Path(run).exists():
            eval_curves.write_back(run, several)
    return found


def training_goes_on(plans: Sequence[Plan]) -> bool:
    """Whether a run of the checkpoints is not finished, or has none yet."""
    runs = {run_of(one.path) for plan in plans for one in plan.targets()}
    return not runs or any(not (epath.Path(r) / "done.json").exists() for r in runs)


def main(argv: Sequence[str]) -> int:
    options = read_options(argv)
    jax.config.update("jax_platforms", "cpu")  # the devices belong to the jobs
    while options.watch and not expand(options.checkpoints):
        time.sleep(options.every)
    plans, runner = make_plans(options), Runner(options)
    if not options.watch and not any(plan.targets() for plan in plans):
        raise UserError(f"--checkpoints={options.checkpoints}: none of them is whole")
    while True:
        # A run that ends while its last checkpoint is evaluated is looked at again.
        goes_on = options.watch and training_goes_on(plans)
        todo = missing(plans)
        runner.start(todo)
        if options.dry_run:
            return 0
        rows = gather(plans, options.workdir)
        there = [piece.workdir for piece in missing(plans)]
        left = [folder for folder in there if folder not in runner.failed]
        if not options.watch or not (left or goes_on):
            break
        runner.rest()
    if rows:
        print(tables.layout(rows))
    if left:
        print(f"{len(left)} jobs have no results yet; run this again", file=sys.stderr)
    # A checkpoint that its run has removed meanwhile is nobody's failure.
    failed = {folder: runner.failed[folder] for folder in set(there) - set(left)}
    for folder, code in sorted(failed.items()):
        print(f"{folder}: ended with {code}", file=sys.stderr)
    return next(iter(failed.values()), 0)


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
