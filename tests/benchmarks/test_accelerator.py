"""The report survives a part that fails; its parts run at their smallest size."""

import json
import sys

import pytest

from tests.benchmarks import accelerator

# Plays the parts: one finds something, one dies, one hangs.
PLAY = """
import json, pathlib, sys, time
part, out = (flag.partition("=")[2] for flag in sys.argv[-2:])
if part == "joint":
    sys.exit("no room")
if part == "evaluator":
    time.sleep(60)
facts = {"device": "d", "platform": "p", "jax": "1"}
ok = json.loads(sys.argv[1])
rows = [{"kernel": "a", "error": 0.123456, "ok": ok}, {"kernel": "b", "note": "no"}]
pathlib.Path(out).write_text(json.dumps({"facts": facts, "rows": rows}))
"""


def test_a_part_that_fails_or_hangs_leaves_the_others(tmp_path, capsys, monkeypatch):
    # a second for the one that hangs, much for those that only have to start
    shares = {"evaluator": 1.0, "joint": 60.0, "kernels": 60.0}
    monkeypatch.setattr(accelerator, "PARTS", shares)
    command = (sys.executable, "-S", "-c", PLAY, "true")
    out = tmp_path / "found.json"
    found = accelerator.run_parts([*shares], ["--smoke"], 121.0, out, command)
    assert {name: one["status"] for name, one in found.items()} == {
        "joint": "failed",
        "kernels": "ok",
        "evaluator": "timeout",
    }
    assert found["joint"]["error"] == "no room"
    assert json.loads(out.read_text()) == found
    said = capsys.readouterr().out
    assert "| kernel | error | ok | note |" in said
    assert "| a | 0.1235 | True |  |" in said
    assert "not done after" in said


def test_a_wrong_kernel_is_not_ok():
    command = (sys.executable, "-S", "-c", PLAY, "false")
    found = accelerator.run_parts(["kernels"], [], 120.0, None, command)
    assert found["kernels"]["status"] == "wrong"


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        accelerator.main(["--parts=joint,sound"])
    assert "unknown ['sound']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "peak"),
    [("NVIDIA H200", 989e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("cpu", None)],
)
def test_peaks_are_of_known_devices(kind, peak):
    assert accelerator.peak_flops(kind) == peak


@pytest.mark.slow
def test_all_parts_run_on_a_cpu(tmp_path):
    out = tmp_path / "found.json"
    assert accelerator.main(["--smoke", f"--out={out}", "--budget=900"]) == 0
    found = json.loads(out.read_text())
    assert [row["kernel"] for row in found["kernels"]["rows"]] == [
        "xla",
        "splash",
        "cudnn",
    ]
    (step,) = found["joint"]["rows"]
    assert step["compiles"] == 1
    assert step["losses"][-1] < step["losses"][0]
    assert {row["task"] for row in found["evaluator"]["rows"]} == {
        "count",
        "compare_real",
    }
