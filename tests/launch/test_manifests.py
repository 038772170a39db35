"""What Kubernetes is asked for."""

import importlib.util
import json

import pytest
import yaml

from babyvlm_jax.aot.chips import CHIPS, parse_slice
from babyvlm_jax.runtime.errors import UserError
from launch.gke import manifest
from launch.gke.manifest import Cluster
from launch.jobs import Job

WORDS = ("python", "-m", "babyvlm_jax.train", "--config=c.py", "--workdir=gs://b/w")


def job(topology="", slices=1, gpus=0, **changes):
    where = parse_slice(topology, slices) if topology else None
    return Job("joint", WORDS, where=where, gpus=(1, gpus), code="image:1", **changes)


def pod_of(content):
    """(spec of the batch Job, spec of its pods)."""
    spec = content["spec"]
    if content["kind"] == "JobSet":
        (slices,) = spec["replicatedJobs"]
        spec = slices["template"]["spec"]
    return spec, spec["template"]["spec"]


def test_a_slice_is_a_job_and_a_host_is_a_pod():
    content = manifest.manifest(job("v5e:4x4", 2), Cluster(spot=True, grace_s=120))
    assert content["spec"]["replicatedJobs"][0]["replicas"] == 2
    spec, pod = pod_of(content)
    assert (spec["parallelism"], spec["completions"]) == (4, 4)
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "4x4",
        "cloud.google.com/gke-spot": "true",
    }
    assert pod["terminationGracePeriodSeconds"] == 120
    (container,) = pod["containers"]
    assert container["args"] == ["env", "BABYVLM_DISTRIBUTED=1", *WORDS]
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    assert container["image"] == "image:1"


def test_hosts_and_chips_make_the_slice():
    for chip in CHIPS.values():
        for shape in chip.shapes:
            one = job(f"{chip.name}:{shape}")
            spec, pod = pod_of(manifest.manifest(one, Cluster()))
            chips = pod["containers"][0]["resources"]["limits"]["google.com/tpu"]
            assert spec["completions"] * chips == one.where.chips_each


def test_gpus_of_one_machine():
    content = manifest.manifest(job(gpus=4, env=(("A", "b c"),)), Cluster(gpu="l4"))
    spec, pod = pod_of(content)
    assert (content["kind"], spec["completions"]) == ("Job", 1)
    assert pod["containers"][0]["args"] == ["env", "A=b c", *WORDS]
    assert pod["containers"][0]["resources"]["requests"] == {"nvidia.com/gpu": 4}
    assert pod["nodeSelector"] == {"cloud.google.com/gke-accelerator": "l4"}


def test_what_cannot_be_had_is_refused():
    with pytest.raises(UserError, match="on what"):
        manifest.manifest(job(), Cluster())
    with pytest.raises(UserError, match="one machine only"):
        manifest.manifest(Job("j", WORDS, gpus=(2, 8)), Cluster())


BOTH = [job("v5litepod-16"), job(gpus=8)]


@pytest.mark.parametrize("one", BOTH, ids=["tpu", "gpu"])
def test_sigterm_reaches_python_and_it_has_time_to_save(one):
    _, pod = pod_of(manifest.manifest(one, Cluster()))
    (container,) = pod["containers"]
    assert "command" not in container  # the image's tini hands signals on
    assert "bash" not in container["args"] and "sh" not in container["args"]
    assert pod["terminationGracePeriodSeconds"] >= 300


@pytest.mark.parametrize("one", BOTH, ids=["tpu", "gpu"])
def test_75_starts_again_and_78_does_not(one):
    content = manifest.manifest(one, Cluster())
    spec, pod = pod_of(content)
    rule = spec["podFailurePolicy"]["rules"][0]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [78])
    assert rule["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert pod["restartPolicy"] == "Never"  # which podFailurePolicy demands
    if content["kind"] == "JobSet":
        (last,) = content["spec"]["failurePolicy"]["rules"]
        assert last["action"] == "FailJobSet"
        assert content["spec"]["failurePolicy"]["maxRestarts"] > 0
        assert spec["backoffLimit"] == 0
    else:
        assert spec["backoffLimit"] > 0


@pytest.mark.parametrize("one", BOTH, ids=["tpu", "gpu"])
def test_no_root_and_no_key(one):
    content = manifest.manifest(one, Cluster())
    _, pod = pod_of(content)
    assert pod["containers"][0]["securityContext"] == {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
    }
    text = json.dumps(content).lower()
    assert "secret" not in text and "credential" not in text and "volumes" not in text


@pytest.mark.parametrize("one", BOTH, ids=["tpu", "gpu"])
def test_the_text_is_the_content(one):
    awkward = Job("j", ("a: b", "yes", "1", "#x"), where=one.where, gpus=one.gpus)
    for each in (one, awkward):
        content = manifest.manifest(each, Cluster())
        assert yaml.safe_load(manifest.text(content)) == content


def test_the_files_by_themselves_are_what_they_say():
    ours = Job("joint", (), where=parse_slice("v5litepod-16"), code="babyvlm_jax:tpu")
    for name, one in (("tpu.yaml", ours), ("gpu.yaml", job(gpus=8))):
        file = yaml.safe_load((manifest.HERE / name).read_text())
        made = manifest.manifest(one, Cluster())
        for content in (file, made):
            (container,) = pod_of(content)[1]["containers"]
            words = container.pop("args")
            container.pop("image")
            assert words[0] in ("env", "python")
        assert file == made


@pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None,
    reason="kubernetes-validate, which has the published schemas, is not installed",
)
@pytest.mark.parametrize("one", BOTH, ids=["tpu", "gpu"])
def test_the_published_schema_accepts_the_job(one):
    import kubernetes_validate

    spec, _ = pod_of(manifest.manifest(one, Cluster()))
    whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate({**whole, "spec": spec}, version, strict=True)
