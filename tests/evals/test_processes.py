"""Two processes, each with half of the devices, give what one process gives."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from babyvlm_jax.evals.items import offered
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.sharding import make_mesh
from tests.evals.fakes import make_predictor
from tests.evals.samples import memory, record

pytestmark = pytest.mark.multiprocess
TEXT = "<image> (A) top left (B) top right (C) bottom left (D) bottom right"
ITEMS = [record("localize", TEXT, "A", name=f"i{k}", first=9 * k) for k in range(6)]
ITEMS += [memory(6, name=f"m{k}") for k in range(3)]
ROOT = pathlib.Path(__file__).parents[2]
# The fakes hold arrays, so the processes meet before these are imported.
ONE_OF_TWO = """
import json, sys, jax
port, number = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(number))
from tests.evals.test_processes import answers
print(json.dumps(answers(jax.devices())))
"""


def answers(devices):
    """Replies and likelihoods of a predictor over these devices, as plain data."""
    sizes = {"data": len(devices), "fsdp": 1, "tensor": 1}
    predictor = make_predictor(4, mesh=make_mesh(sizes, devices))
    choices = [offered(TASKS[item.source[5:]], item) for item in ITEMS]
    with jax.set_mesh(predictor.reader.mesh):
        replies, found = predictor.answer(ITEMS, choices)
    return replies, [np.concatenate(rounds).tolist() for rounds in found]


def test_two_processes_answer_as_one():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    settings = {"JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_OF_TWO, str(port), str(number)],
            cwd=ROOT,
            env=os.environ | settings | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    out = [one.communicate(timeout=600)[0] for one in both]
    said = [json.loads(lines.splitlines()[-1]) for lines in out]  # Gloo prints, too
    assert said[0] == said[1]
    replies, likelihoods = answers(jax.devices()[:4])
    assert said[0] == [replies, likelihoods]
