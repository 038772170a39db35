"""Our loader against a PyTorch DataLoader, on the same records, on one core.

    taskset -c 1 python -m tests.benchmarks.pipeline
    python -m tests.benchmarks.pipeline --records=200 --repeats=1

Each way of loading takes all records once per repeat, the ways in turn, in one thread
on one core. Seconds are seconds of processor time, so that what else the machine does
counts for little; medians are told. The files lie in the page cache, and nothing else
is kept between repeats. The peer is left out where there is no torch.
"""

import argparse
import importlib.util
import io
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from babyvlm_jax.data.config import DataConfig
from babyvlm_jax.data.images import preprocess
from babyvlm_jax.data.pipeline import make_rows
from tests.benchmarks import v2_mixture, world

IMAGE_SIZE = 224
PEER, PEER_BATCH = "PyTorch DataLoader", 32  # BabyLLaVA train script, per device
LONGEST = 2048  # tokens of the longest record, rounded up
MOST_PICTURES = 8


class Pass(NamedTuple):
    """All records, loaded once."""

    seconds: float
    supervised: int
    images: int
    tokens: int
    filled: int


def our_pass(folder: pathlib.Path, **fields) -> Pass:
    """One epoch of our loader, in this thread."""
    cfg = DataConfig(
        shards=str(folder / "shards"),
        tokenizer=str(folder / "tokenizer.model"),
        mixture={"mix": 1.0},
        image_size=IMAGE_SIZE,
        tokens_per_image=v2_mixture.TOKENS_PER_IMAGE,
        cache_images=False,
        num_threads=0,
        prefetch=0,
        **fields,
    )
    rows = make_rows(cfg)
    sums = np.zeros(4, np.int64)
    begin = time.process_time()
    for step in range(rows.steps_per_epoch):
        batch = rows.batch_at(step)
        sums += (
            batch["loss_mask"].sum(),
            batch["image_mask"].sum(),
            batch["tokens"].size,
            (batch["segment_ids"] > 0).sum(),
        )
    return Pass(time.process_time() - begin, *sums.tolist())


def peer_pass(folder: pathlib.Path) -> Pass:
    """One epoch of the DataLoader, in this process."""
    import torch

    from tests.benchmarks import torch_loader

    torch.set_num_threads(1)
    loader = torch_loader.loader(folder, IMAGE_SIZE, PEER_BATCH)
    sums = np.zeros(4, np.int64)
    begin = time.process_time()
    for batch in loader:
        sums += torch_loader.content(batch, v2_mixture.TOKENS_PER_IMAGE)
    return Pass(time.process_time() - begin, *sums.tolist())


def ways(folder: pathlib.Path) -> dict[str, Callable[[], Pass]]:
    """Name -> one pass over the records, the peer first."""
    packed = {"seq_len": 4096, "max_images": 20, "batch_size": 4}
    single = {"seq_len": LONGEST, "max_images": MOST_PICTURES, "batch_size": 8}
    made = {
        "ours, unpacked": lambda: our_pass(folder, rows="single", **single),
        "ours, packed": lambda: our_pass(folder, **packed),
        "ours, packed, scaled decoding": lambda: our_pass(
            folder, scaled_decode=True, **packed
        ),
    }
    if importlib.util.find_spec("torch") is None:
        return made
    return {PEER: lambda: peer_pass(folder), **made}


def compare(folder: pathlib.Path, repeats: int) -> list[str]:
    """Lines of the table of loaders."""
    made = ways(folder)
    passes = {name: [] for name in made}
    for _ in range(repeats):
        for name, one_pass in made.items():
            passes[name].append(one_pass())
    lines = [
        "| loader | supervised tokens/s | images/s | padding | against the first |",
        "|---|---|---|---|---|",
    ]
    first = None
    for name, found in passes.items():
        seconds = statistics.median(one.seconds for one in found)
        rate = found[0].supervised / seconds
        first = first or rate
        lines.append(
            f"| {name} | {rate:,.0f} | {found[0].images / seconds:,.0f} | "
            f"{1 - found[0].filled / found[0].tokens:.1%} | {rate / first:.2f}x |"
        )
    counts = {
        (one.supervised, one.images) for found in passes.values() for one in found
    }
    (same,) = counts  # all of them have loaded the same
    lines.append(f"\n{same[0]:,} supervised tokens and {same[1]:,} images a pass")
    return lines


def decoding(pictures: list[bytes], repeats: int) -> list[str]:
    """Lines of the table of decoders."""
    made = {
        "Pillow: decode, resize": by_pillow,
        "ours": lambda data: preprocess(data, IMAGE_SIZE),
        "ours, scaled decoding": lambda data: preprocess(data, IMAGE_SIZE, scaled=True),
    }
    seconds = {name: [] for name in made}
    for _ in range(repeats):
        for name, decode in made.items():
            begin = time.process_time()
            for data in pictures:
                decode(data)
            seconds[name].append(time.process_time() - begin)
    rates = {n: len(pictures) / statistics.median(s) for n, s in seconds.items()}
    first = next(iter(rates.values()))
    return [
        "| decoder | images/s | against the first |",
        "|---|---|---|",
        *(f"| {n} | {rate:,.0f} | {rate / first:.2f}x |" for n, rate in rates.items()),
    ]


def by_pillow(data: bytes) -> np.ndarray:
    """What one writes without thinking about it."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((IMAGE_SIZE,) * 2, Image.Resampling.BILINEAR))


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--records", type=int, default=400, help="default 400")
    parser.add_argument("--repeats", type=int, default=5, help="default 5")
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    made = world.records(args.records)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        world.write(folder, made)
        print("\n".join(compare(folder, args.repeats)), end="\n\n")
    pictures = [picture for record in made for picture in record.images][:300]
    print("\n".join(decoding(pictures, args.repeats)))


if __name__ == "__main__":
    main()
