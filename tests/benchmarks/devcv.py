"""Our evaluator against batched `generate` in PyTorch: same weights, same items.

python -m tests.benchmarks.devcv --checkpoint=runs/demo/instruct \\
    --shards=runs/demo/shards
python -m tests.benchmarks.devcv --size=small --items=8 --dialogues=4 \\
    --batch-size=8 --max-new-tokens=4

The peer is what a user of the export would run: our lmms-eval model class, whose
batches of `--batch-size` go through transformers' processor and `generate` with its
key-value cache; each round of a dialogue reads its history anew. Both compute in f32
and have batches of the same size. Without a checkpoint the weights are random and the
items are noise in the released wording.

Seconds are of processor time, over all threads; torch gets one. Ours are those of a
second pass, so without compiling; the peer's first item is asked once before.

Where answers differ, the item is named with both, and with the smallest gap between
the two best logits of any token that the peer wrote: 1e-4 or less is a tie in f32.
"""

import argparse
import dataclasses
import importlib.util
import io
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from babyvlm_jax import embedding
from babyvlm_jax.data import tokenizer as tokenizer_lib
from babyvlm_jax.data.images import encode_jpeg
from babyvlm_jax.data.schema import HUMAN, IMAGE_MARK, Record, RecordSource
from babyvlm_jax.evals.engine import CheckpointPredictor
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.evals.tasks import DEVCV, select_tasks
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.sharding import make_mesh
from babyvlm_jax.training import checkpoint, settings
from configs.eval.devcv import BUCKETS
from configs.models import MODELS, ROWS
from tests.evals.samples import ITEMS, memory

TASKS = {task.name: task for task in select_tasks([DEVCV])}
ONE_DEVICE = {"data": 1, "fsdp": 1, "tensor": 1}


class Timing(NamedTuple):
    """One task, both ways.

    Attributes:
        task: its name.
        num_items: how many were asked; a dialogue is one.
        peer_s, ours_s: seconds of processor time for all of them.
        num_same: items whose answers are the same, in all rounds.
    """

    task: str
    num_items: int
    peer_s: float
    ours_s: float
    num_same: int


def random_workdir(folder: pathlib.Path, size: str, seed: int = 0) -> pathlib.Path:
    """Writes a work directory with random weights in f32, and a tokenizer."""
    side, per_image, _, _ = ROWS[size]
    texts = [text for item in ITEMS.values() for _, text in item.turns] * 3
    symbols = ["user:", "assistant:", "(a)", "(b)", "(c)", "(d)"]
    words = tokenizer_lib.train((t.replace("<image>", "") for t in texts), 160, symbols)
    folder.mkdir(parents=True)
    (folder / "tokenizer.model").write_bytes(words)
    model = json.loads(json.dumps({k: dict(v) for k, v in MODELS[size].items()}))
    for part in ("vision", "decoder"):
        model[part] |= {"dtype": "float32", "remat": "none"}
    model["decoder"] |= {"vocab_size": 160, "max_len": 8192}
    data = {"template": "baby_v1", "tokenizer": "tokenizer.model", "image_size": side}
    data |= {"tokens_per_image": per_image, "mixture": {}, "shards": ""}
    data |= {"seq_len": 0, "batch_size": 0}
    optim = {"name": "", "lr_peak": 0.0, "trains": []}
    config = {"name": "random", "seed": seed, "num_steps": 0, "model": model}
    config |= {"data": data, "optim": optim, "warm_start": {}}
    (folder / "config.json").write_text(json.dumps(config))
    mesh = make_mesh(ONE_DEVICE, jax.devices()[:1])
    with jax.set_mesh(mesh):
        init = make_model(settings.model_of(config)).init
        params = jax.tree.map(np.array, jax.jit(init)(jax.random.key(seed)))
    # Fresh tables are so small that a model hardly tells tokens apart; and what it
    # says must survive being read again, so <unk> and its like are never said.
    table = params["decoder"]["embed"]
    table *= 20.0
    table[:3] = 0.0
    checkpoint.save_params(folder, 0, params)
    return folder


def noise_items(side: int, num_items: int, num_dialogues: int) -> dict[str, list]:
    """Items of every task in the released wording, with pictures of coloured noise."""

    def picture(*key):
        rng = np.random.default_rng(list(key))
        coarse = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        return encode_jpeg(np.asarray(Image.fromarray(coarse).resize((side, side))))

    def like(item, number):
        places = {
            image: place for place, image in enumerate(dict.fromkeys(item.images))
        }
        images = tuple(picture(number, places[image]) for image in item.images)
        return Record(f"{item.id}_{number}", item.source, images, item.turns, item.meta)

    samples = {**ITEMS, "memory": memory(15)}
    return {
        name: [
            like(samples[name], number)
            for number in range(num_dialogues if name == "memory" else num_items)
        ]
        for name in TASKS
    }


def stored_items(shards: str, num_items: int, num_dialogues: int) -> dict[str, list]:
    """The first items of every task in a folder of datasets."""
    found = {}
    for name, task in TASKS.items():
        source = RecordSource(shards, task.dataset, "test")
        number = num_dialogues if name == "memory" else num_items
        found[name] = [source[i] for i in range(min(number, len(source)))]
    return found


def load_reader(workdir: str, buckets: Sequence[int], batch_size: int) -> Reader:
    """Our side of a checkpoint on one device, computing in f32."""
    mesh = make_mesh(ONE_DEVICE, jax.devices()[:1])
    return embedding.load_reader(workdir, mesh, batch_size, buckets)[0]


def load_peer(workdir: str, folder: pathlib.Path, batch_size: int):
    """The model class for lmms-eval, of the same checkpoint, on one core."""
    import torch

    torch.set_num_threads(1)
    export(ExportConfig(workdir, str(folder), "lmms-eval"))
    spec = importlib.util.spec_from_file_location("lmms_model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.BabyVLM(str(folder / "hf"), batch_size=batch_size, device="cpu")


def ask_peer(peer, items: Sequence[Record], max_new_tokens: int) -> list[list[str]]:
    """The replies of the peer to items of one task, in each round."""
    peer.task_dict = {"task": {"test": [_document(item) for item in items]}}
    options, shown = {"max_new_tokens": max_new_tokens}, lambda one: one["image"]
    places = [(number, "task", "test") for number in range(len(items))]
    if len(items[0].turns) > 2:
        requests = [
            SimpleNamespace(args=("", options, None, None, *place)) for place in places
        ]
        return [json.loads(one) for one in peer.generate_until_multi_round(requests)]
    requests = [
        SimpleNamespace(args=(item.turns[0][1], options, shown, *place))
        for item, place in zip(items, places, strict=True)
    ]
    return [[answer] for answer in peer.generate_until(requests)]


def _document(item):
    said = [
        {"from": "human" if role == HUMAN else "gpt", "value": text}
        for role, text in item.turns
    ]
    images = [Image.open(io.BytesIO(image)) for image in item.images]
    return {"image": images, "conversations": said}


def smallest_gap(peer, item: Record, said: Sequence[str], max_new_tokens: int) -> float:
    """Gap between the two best logits of the peer's next answer, where it is smallest.

    Args:
        item: what is asked.
        said: its replies to the rounds before.
        max_new_tokens: where the answer is cut off.
    """
    asked = [text for role, text in item.turns if role == HUMAN][: len(said) + 1]
    text = peer.prompt(list(zip(asked, [*said, None], strict=True)))
    images = _document(item)["image"][: text.count(IMAGE_MARK)]
    out = peer.model.generate(
        **peer.encode([text], images),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = [logits[0].topk(2).values.tolist() for logits in out.logits]
    return min(first - second for first, second in best)


def measure(
    reader: Reader, peer, items: dict[str, list], max_new_tokens: int
) -> list[Timing]:
    """Asks both every item; ours twice, and the second pass counts."""
    timings = []
    for name, records in items.items():
        if not records:
            continue
        own = dataclasses.replace(
            reader, batch_size=min(reader.batch_size, len(records))
        )
        CheckpointPredictor(own, max_new_tokens).generate(records)
        ask_peer(peer, records[:1], max_new_tokens)
        begin = time.process_time()
        ours = CheckpointPredictor(own, max_new_tokens).generate(records)
        middle = time.process_time()
        theirs = ask_peer(peer, records, max_new_tokens)
        end = time.process_time()
        apart = differences(peer, records, ours, theirs, max_new_tokens)
        same = len(records) - len(apart)
        timings.append(Timing(name, len(records), end - middle, middle - begin, same))
        print("\n".join([f"{name}: {same} of {len(records)} the same", *apart]))
        sys.stdout.flush()
    return timings


def differences(
    peer,
    records: Sequence[Record],
    ours: Sequence[Sequence[str]],
    theirs: Sequence[Sequence[str]],
    max_new_tokens: int,
) -> list[str]:
    """A line on each item whose replies are not the same."""
    lines = []
    for record, here, there in zip(records, ours, theirs, strict=True):
        if here == there:
            continue
        pairs = enumerate(zip(here, there, strict=True))
        number = next(number for number, (a, b) in pairs if a != b)
        gap = smallest_gap(peer, record, there[:number], max_new_tokens)
        lines.append(
            f"  {record.id}, round {number}: ours {here[number]!r}, PyTorch "
            f"{there[number]!r}; smallest gap of its logits {gap:.2g}"
        )
    return lines


def table(timings: Sequence[Timing]) -> list[str]:
    """Lines of the table in Markdown."""
    lines = [
        "| task | items | same answers | batched PyTorch, items/s | ours, items/s | "
        "ratio |",
        "|---|---|---|---|---|---|",
    ]
    for one in timings:
        peer, ours = one.num_items / one.peer_s, one.num_items / one.ours_s
        lines.append(
            f"| {one.task} | {one.num_items} | {one.num_same} | {peer:.2f} | "
            f"{ours:.2f} | {ours / peer:.1f}x |"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.devcv",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--checkpoint", default="", help="work directory; default: random weights")
    add("--shards", default="", help="folder of devcv_* datasets; default: noise")
    add("--size", default="nursery", choices=("nursery", "small"))
    add("--items", type=int, default=200, help="of each task but memory")
    add("--dialogues", type=int, default=200, help="items of memory")
    add("--batch-size", type=int, default=32)
    add("--max-new-tokens", type=int, default=16, help="where answers are cut off")
    add("--tasks", default="", help="as count,memory; default: all")
    args = parser.parse_args(argv)
    mesh = make_mesh(ONE_DEVICE, jax.devices()[:1])
    with tempfile.TemporaryDirectory() as folder, jax.set_mesh(mesh):
        folder = pathlib.Path(folder)
        workdir = args.checkpoint or str(random_workdir(folder / "random", args.size))
        side = ROWS[args.size][0]
        if args.shards:
            items = stored_items(args.shards, args.items, args.dialogues)
        else:
            items = noise_items(side, args.items, args.dialogues)
        wanted = args.tasks.split(",") if args.tasks else items
        items = {name: items[name] for name in wanted}
        buckets = BUCKETS["nursery" if args.size == "nursery" else "v2"]
        reader = load_reader(workdir, buckets, args.batch_size)
        peer = load_peer(workdir, folder / "peer", args.batch_size)
        timings = measure(reader, peer, items, args.max_new_tokens)
        print("\n".join(table(timings)))


if __name__ == "__main__":
    main()
