"""Fills the manifests of this folder with a job."""

import dataclasses
import pathlib
from typing import Any

import yaml

from babyvlm_jax.runtime.errors import UserError
from launch.jobs import Job

HERE = pathlib.Path(__file__).parent
CHIPS = 4  # of a host: machine types ct4p, ct5lp, ct5p and ct6e of GKE that end in 4t
TPUS = {
    "v4": "tpu-v4-podslice",
    "v5e": "tpu-v5-lite-podslice",
    "v5p": "tpu-v5p-slice",
    "v6e": "tpu-v6e-slice",
}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What a job needs of its cluster.

    Attributes:
        account: Kubernetes service account of the pods.
        spot: run on spot machines.
        grace_s: from SIGTERM to SIGKILL.
        gpu: kind of GPU, as the nodes are labelled.
    """

    account: str = "babyvlm"
    spot: bool = False
    grace_s: int = 300
    gpu: str = "nvidia-h100-80gb"


def manifest(job: Job, cluster: Cluster) -> dict[str, Any]:
    """The JobSet of a job on TPU slices, or the Job of one on a machine with GPUs.

    Raises:
        UserError: it says neither, or asks for GPUs of several machines.
    """
    if job.where:
        return _tpu(job, cluster)
    machines, gpus = job.gpus
    if not gpus:
        raise UserError("on what? give --type=SLICE, or --gpus=N of one machine")
    if machines != 1:
        raise UserError("launch/gke has GPUs of one machine only; use launch/slurm")
    content = _load("gpu.yaml")
    content["metadata"]["name"] = job.name
    pod = content["spec"]["template"]["spec"]
    env = [f"{name}={value}" for name, value in job.env]
    words = [*(["env", *env] if env else []), *job.command]
    _fill_pod(pod, job, cluster, words, "nvidia.com/gpu", gpus)
    pod["nodeSelector"]["cloud.google.com/gke-accelerator"] = cluster.gpu
    return content


def _tpu(job, cluster):
    content = _load("tpu.yaml")
    content["metadata"]["name"] = job.name
    (slices,) = content["spec"]["replicatedJobs"]
    slices["replicas"] = job.where.count
    spec = slices["template"]["spec"]
    chips = min(CHIPS, job.where.chips_each)
    spec["parallelism"] = spec["completions"] = job.where.chips_each // chips
    pod = spec["template"]["spec"]
    _fill_pod(pod, job, cluster, list(job.words), "google.com/tpu", chips)
    pod["nodeSelector"] |= {
        "cloud.google.com/gke-tpu-accelerator": TPUS[job.where.chip.name],
        "cloud.google.com/gke-tpu-topology": job.where.shape,
    }
    return content


def _fill_pod(pod, job, cluster, words, resource, count):
    pod["terminationGracePeriodSeconds"] = cluster.grace_s
    pod["serviceAccountName"] = cluster.account
    if cluster.spot:
        pod["nodeSelector"]["cloud.google.com/gke-spot"] = "true"
    (container,) = pod["containers"]
    container["image"], container["args"] = job.code, words
    container["resources"] = {
        "requests": {resource: count},
        "limits": {resource: count},
    }


def _load(name: str) -> dict[str, Any]:
    return yaml.safe_load((HERE / name).read_text())


def text(content: dict[str, Any]) -> str:
    """The manifest as YAML; every value says itself whether it is a string."""
    return yaml.safe_dump(content, sort_keys=False, width=1000)
