"""What the two sides of the step's benchmark share: the task, and how they are asked.

Each side lives in its own process, so that peak memory is its own, and answers one
question after another, so that the sides can be timed in turn.
"""

import dataclasses
import json
import multiprocessing
import pathlib
import resource
import time
from typing import Any, NamedTuple

from babyvlm_jax.data.config import Batch
from babyvlm_jax.data.synthetic import synthetic_rows
from babyvlm_jax.training import settings
from configs.v2 import joint

RANKS = 8  # V2 3: 2 microbatches on each of 4 GPUs


@dataclasses.dataclass(frozen=True)
class Task:
    """What both sides do.

    Attributes:
        folder: of `world.write`.
        size: `small` or `v2`.
        image_size: side of the pictures.
        batch: examples that the peer pads to one length.
        rows, seq_len, max_images: our batch.
        dtype: of the computation.
        remat: ours; unless `none`, the peer checkpoints each layer of its decoder.
        unroll: layers that one turn of our scans holds; compiles longer.
        examples: of a pass; all there are, so that every pass sees the same.
        device: `cpu` or `gpu`.
        threads: of the loader; 0 loads in turn with the steps.
    """

    folder: str
    examples: int
    size: str = "small"
    image_size: int = 64
    batch: int = 16
    rows: int = 2
    seq_len: int = 512
    max_images: int = 20
    dtype: str = "float32"
    remat: str = "full"
    unroll: int = 1
    device: str = "cpu"
    threads: int = 0
    seed: int = 0


class Pass(NamedTuple):
    """Some steps: seconds, and what was learnt from in them."""

    seconds: float
    examples: int
    supervised: int
    tokens: int
    filled: int
    peak_bytes: int


def run_settings(task: Task) -> settings.TrainSettings:
    """The joint phase as it is shipped, on the benchmark's records."""
    c = joint.get_config(f"size={task.size}").unlock()
    c.model.vision.image_size = task.image_size
    c.model.decoder.qk_norm = False  # transformers' Llama has none
    for part in ("vision", "decoder"):
        c.model[part].dtype = task.dtype
        c.model[part].remat = task.remat
        c.model[part].unroll = task.unroll
    patch = c.model.vision.get("patch_size", 16)
    c.data.update(
        {
            "shards": f"{task.folder}/shards",
            "tokenizer": f"{task.folder}/tokenizer.model",
            "batch_size": task.rows,
            "seq_len": task.seq_len,
            "max_images": task.max_images,
            "image_size": task.image_size,
            "tokens_per_image": 1 + (task.image_size // patch) ** 2,
            "num_threads": task.threads,
            "cache_images": False,
            "seed": task.seed,
        }
    )
    c.data.mixture = {"mix": 1.0}
    c.warm_start = {}
    c.mesh = {"data": 1, "fsdp": 1, "tensor": 1}
    c.seed = task.seed
    return settings.from_config(json.loads(c.to_json()))


def same_rows(run: settings.TrainSettings) -> Batch:
    """Rows of one record with one image each, full of words: nothing is padding."""
    data = dataclasses.replace(run.data, max_images=1)
    return synthetic_rows(data, data.batch_size, run.model.decoder.vocab_size)


def same_pass(seconds: float, rows: Batch, steps: int, peak: int) -> Pass:
    """A pass over `same_rows`."""
    supervised, size = int(rows["loss_mask"].sum()), rows["tokens"].size
    filled = int((rows["segment_ids"] > 0).sum())
    sums = (len(rows["tokens"]), supervised, size, filled)
    return Pass(seconds, *(steps * one for one in sums), peak)


def clock(task: Task) -> float:
    """Seconds: of the processor on a CPU, which others use too; else of the wall."""
    return time.process_time() if task.device == "cpu" else time.perf_counter()


def peak_of_process() -> int:
    """Bytes; Linux counts in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Side:
    """A process that holds one side."""

    def __init__(self, make, task: Task):
        """
        Args:
            make: (task) -> an object whose methods answer questions.
        """
        context = multiprocessing.get_context("spawn")
        self._line, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, task, end))
        self._process.start()

    def ask(self, method: str, *args) -> Any:
        """Calls a method there.

        Raises:
            RuntimeError: it failed there.
        """
        self._line.send((method, args))
        try:
            return self._line.recv()
        except EOFError:
            raise RuntimeError(f"the process of {method} died; see above") from None

    def close(self) -> None:
        """Ends the process."""
        self._line.send(None)
        self._process.join()


def _serve(make, task, line):
    side = make(task)
    while (question := line.recv()) is not None:
        method, args = question
        line.send(getattr(side, method)(*args))


def weights_file(task: Task) -> pathlib.Path:
    """Where our side leaves the weights that both begin with."""
    return pathlib.Path(task.folder) / "weights.npz"
