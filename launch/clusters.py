"""The commands behind `launch/gke/submit.sh` and `launch/slurm/submit.sh`."""

import sys
from collections.abc import Sequence

from babyvlm_jax.runtime.errors import UserError
from launch import jobs
from launch.gke.manifest import Cluster, manifest, text
from launch.running import (
    Parser,
    add_job_options,
    add_slice_options,
    call,
    check_first,
    make_job,
    need_command,
    run_command,
)

GKE = """\
Runs COMMAND as the job NAME on a Kubernetes cluster: a JobSet on TPU slices, or a Job
on the GPUs of one machine. The config is checked here first. Exit code 75, and the loss
of a node, start it anew; 78 ends it; SIGTERM reaches python, which saves.

  launch/gke/submit.sh joint --type=v5litepod-16 --image=IMAGE -- \\
      python -m babyvlm_jax.train --config=configs/v2/joint.py:root=gs://b/v2 \\
      --workdir=gs://b/v2/joint
  launch/gke/submit.sh joint --type=v5litepod-16 --slices=2 ...     two slices, one run
  launch/gke/submit.sh joint --gpus=8 --image=IMAGE ...
  launch/gke/submit.sh joint --type=v5litepod-16 --xpk=CLUSTER --zone=ZONE ...

kubectl must point at the cluster. Another job of the same NAME is an error of
Kubernetes'; kubectl delete jobset NAME makes room.
"""

SLURM = """\
Runs COMMAND as the job NAME under Slurm, one process for each GPU. The config is
checked here first. Exit code 75 puts the job back into the queue, and it goes on from
its newest checkpoint; so does the end of --time, --grace seconds before which it is
asked to save.

  launch/slurm/submit.sh joint --nodes=2 --gpus=8 --time=1-00:00 -- \\
      python -m babyvlm_jax.train --config=configs/v2/joint.py --workdir=runs/v2/joint

The code lies in --dir, installed by launch/install.sh cuda, on a disk that all nodes
see, and so do the data and --workdir.
"""


def gke(argv: Sequence[str]) -> int:
    """`launch/gke/submit.sh`."""
    usage = "NAME --image=IMAGE [OPTIONS] -- COMMAND..."
    parser = Parser("launch/gke/submit.sh", usage, GKE)
    parser.add_argument("name", metavar="NAME", help="of the job")
    add_slice_options(parser)
    add_job_options(parser, "", "what launch/Dockerfile made; an xpk job takes it too")
    add = parser.add_argument
    add("--gpus", type=int, default=0, help="of one machine, instead of --type")
    add("--gpu", default=Cluster.gpu, help=f"kind of GPU ({Cluster.gpu})")
    add("--account", default=Cluster.account, help="service account of the pods")
    add("--grace", type=int, default=Cluster.grace_s, metavar="S", help="to save (300)")
    add("--spot", action="store_true", help="on spot machines")
    add("--namespace", default="default", help="of Kubernetes (default)")
    add("--xpk", default="", metavar="CLUSTER", help="submit by xpk instead")
    add("--zone", default="", help="of the cluster, for xpk")
    add("--project", default="", help="of the cluster, for xpk")
    options = parser.read(argv)
    need_command(options)
    if not options.image:
        raise UserError("--image is missing; see the Docker lines of docs/launch.md")
    job = make_job(options, options.name)
    check_first(job, options)
    if options.xpk:
        if not options.zone:
            raise UserError("--zone is missing; xpk wants that of the cluster")
        zone = jobs.Zone(options.zone, options.project)
        return call(jobs.xpk(job, options.xpk, zone), options.dry_run)
    cluster = Cluster(options.account, options.spot, options.grace, options.gpu)
    content = text(manifest(job, cluster))
    return call(jobs.kubectl(options.namespace), options.dry_run, stdin=content)


def slurm(argv: Sequence[str]) -> int:
    """`launch/slurm/submit.sh`."""
    usage = "NAME --nodes=N --gpus=N [OPTIONS] -- COMMAND..."
    parser = Parser("launch/slurm/submit.sh", usage, SLURM)
    parser.add_argument("name", metavar="NAME", help="of the job")
    add_job_options(parser, jobs.PACKAGE, "the code's folder")
    parser.set_defaults(dir=str(jobs.ROOT))
    add = parser.add_argument
    add("--nodes", type=int, default=1, help="machines (1)")
    add("--gpus", type=int, required=True, help="of each machine")
    for name in ("partition", "account", "time"):
        add(f"--{name}", default="", help="as sbatch has it")
    add("--grace", type=int, default=300, metavar="S", help="time to save (300)")
    options = parser.read(argv)
    need_command(options)
    job = make_job(options, options.name)
    check_first(job, options)
    place = options.partition, options.account, options.time
    command = jobs.slurm(job, jobs.Partition(*place, grace_s=options.grace))
    return call(command, options.dry_run)


_SCRIPTS = {"gke": gke, "slurm": slurm}

if __name__ == "__main__":
    run_command(_SCRIPTS[sys.argv[1]], sys.argv[2:])
