"""The published model is imported with less memory than 1.5 of its shards."""

import json
import pathlib
import subprocess
import sys
import time

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.interchange.fill import our_shapes
from babyvlm_jax.interchange.hf_config import original_config
from babyvlm_jax.models.config import PARTS, VLMConfig
from babyvlm_jax.models.interop import llava
from babyvlm_jax.models.interop.table import prefixed, their_shapes
from babyvlm_jax.models.vlm import make_model
from tests.interchange.workdirs import make_tokenizer, make_workdir

pytestmark = pytest.mark.slow
NUM_SHARDS = 5
TOWER = "model.vision_tower.vision_tower."


def write_v2(folder) -> int:
    """Random bf16 weights of the published model in shards; bytes of the largest."""
    model = VLMConfig()
    shapes = our_shapes(make_model(model), PARTS)
    ends = ("model.mm_projector.0", "model.mm_projector.2")
    tables = (
        prefixed(llava.vision(model.vision, "torchvision"), TOWER, "vision/"),
        prefixed(llava.connector(model.connector, *ends), ours="connector/"),
        prefixed(llava.decoder(model.decoder), ours="decoder/"),
    )
    names = {}
    for table in tables:
        names |= their_shapes(table, shapes)
    noise = np.random.default_rng(0).normal(0, 0.02, 2**24).astype(ml_dtypes.bfloat16)
    folder.mkdir()
    index, sizes = {}, []
    order = list(names)
    for number in range(NUM_SHARDS):
        name = f"model-{number + 1:05d}-of-{NUM_SHARDS:05d}.safetensors"
        part = order[number::NUM_SHARDS]
        save_file({key: np.resize(noise, names[key]) for key in part}, folder / name)
        sizes.append((folder / name).stat().st_size)
        index |= dict.fromkeys(part, name)
    content = json.dumps({"weight_map": index})
    (folder / "model.safetensors.index.json").write_text(content)
    (folder / "config.json").write_text(json.dumps(original_config(model)))
    (folder / "tokenizer.model").write_bytes(make_tokenizer())
    return max(sizes)


def peak_of_import(folder, out) -> dict[str, int]:
    """Most bytes that the command holds: of its own, and with files in memory."""
    command = [sys.executable, "-m", "babyvlm_jax.convert", "import"]
    process = subprocess.Popen([*command, f"--from={folder}", f"--out={out}"])
    status, peaks = pathlib.Path(f"/proc/{process.pid}/status"), {}
    while process.poll() is None:
        lines = (line.split() for line in status.read_text().splitlines())
        found = {words[0]: int(words[1]) for words in lines if words[0][:3] == "Rss"}
        for kind, size in found.items():
            peaks[kind] = max(peaks.get(kind, 0), 1024 * size)
        time.sleep(0.01)
    assert process.returncode == 0
    return peaks


def test_v2_needs_less_than_one_and_a_half_shards(tmp_path):
    if not pathlib.Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    export(ExportConfig(str(make_workdir(tmp_path, "official")), str(tmp_path / "x")))
    without = peak_of_import(tmp_path / "x", tmp_path / "tiny")
    shard = write_v2(tmp_path / "v2")
    peaks = peak_of_import(tmp_path / "v2", tmp_path / "out")
    extra = peaks["RssAnon:"] - without["RssAnon:"]
    print(
        f"largest shard {shard / 1e6:.0f} MB; memory beyond that of a tiny import "
        f"{extra / 1e6:.0f} MB, {extra / shard:.2f} shards; with mapped files "
        f"{(peaks['RssAnon:'] + peaks['RssFile:']) / 1e6:.0f} MB"
    )
    assert extra < 1.5 * shard
