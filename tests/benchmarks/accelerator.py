"""Checks and times what matters on an accelerator that is new here, in eight minutes.

    python -m tests.benchmarks.accelerator --out=accelerator.json
    python -m tests.benchmarks.accelerator --smoke              # tiny sizes, any CPU
    python -m tests.benchmarks.accelerator --parts=kernels,joint --budget=240
    python -m tests.benchmarks.accelerator --part=joint --rows=4    # in this process

kernels    every attention kernel that runs here against XLA's on packed rows: whether
           records of a row see each other, outputs and gradients, time, memory
joint      the step of configs/v2/joint.py on made-up rows: time, MFU, memory, and that
           the loss falls on a batch that repeats
evaluator  every task of DevCV under random weights, items of noise: items per second,
           and whether answers depend on the batch size

Nothing is read and nothing is fetched: batches, weights and items are made here. Each
part has a process and a share of `--budget` of its own, so one that fails or hangs
leaves the others' figures; the file is written after each. Exit code 1 when a part
failed or a kernel is wrong. docs/performance.md, "A new accelerator", lists what must
be installed.
"""

import argparse
import itertools
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

# part -> share of the budget; what one leaves over is the next ones'
PARTS = {"kernels": 2.0, "joint": 3.0, "evaluator": 2.5}
MOST_ERROR = {"bfloat16": 3e-2, "float32": 1e-4}  # ours, of the largest value
WARM_UP = 2
# Dense bf16 FLOP/s that the vendor's data sheet names for the device.
PEAKS = {"A100": 312e12, "H100": 989e12, "H200": 989e12}
ONE_DEVICE = {"data": 1, "fsdp": 1, "tensor": 1}


def kernels(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per kernel and shape."""
    from babyvlm_jax.models.config import ATTENTION
    from babyvlm_jax.runtime.errors import UserError
    from tests.benchmarks import attention

    shapes = [attention.Shape(rows=2, length=2048), attention.Shape()]
    if args.smoke:
        shapes = [attention.Shape(1, 128, 2, 1, 8, "float32")]
    rows = []
    for shape, kernel in itertools.product(shapes, ATTENTION[1:]):
        row = {"kernel": kernel, "rows": shape.rows, "length": shape.length}
        try:
            found = attention.measure(kernel, shape)
        except UserError as error:
            rows.append({**row, "note": str(error)})
            continue
        agrees = found.error <= MOST_ERROR[shape.dtype]
        apart = found.leak <= attention.MOST_LEAK
        rows.append({**row, **found._asdict(), "ok": bool(agrees and apart)})
    return rows


def joint(args: argparse.Namespace) -> list[dict[str, Any]]:
    """One row: the published step, or its smoke form, on one device."""
    import jax
    import numpy as np

    from babyvlm_jax import sharding
    from babyvlm_jax.data.synthetic import synthetic_rows
    from babyvlm_jax.train import make_state_and_step
    from babyvlm_jax.training import settings
    from babyvlm_jax.training.objectives import make_objective
    from configs.v2 import joint as config

    c = config.get_config("smoke" if args.smoke else "").unlock()
    c.data.synthetic, c.data.batch_size = True, args.rows
    c.warm_start, c.mesh = {}, ONE_DEVICE
    c.optim.warmup_fraction = 0.0  # the first steps must move
    run = settings.from_config(json.loads(c.to_json()))
    device = jax.devices()[0]
    mesh = sharding.make_mesh(run.mesh, [device])
    made = synthetic_rows(run.data, args.rows, run.model.decoder.vocab_size)
    with jax.set_mesh(mesh):
        objective = make_objective(run)
        state, step = make_state_and_step(objective, mesh)
        batch = sharding.put_batch(mesh, made)
        losses, seconds = [], []
        for _ in range(WARM_UP + args.steps):
            begin = time.perf_counter()
            state, values = step(state, batch)
            losses.append(float(values["loss"]))
            seconds.append(time.perf_counter() - begin)
        flops = objective.flops()
    median = statistics.median(seconds[WARM_UP:])
    peak = peak_flops(device.device_kind)
    tokens = int((made["segment_ids"] > 0).sum())
    return [
        {
            "model": run.name,
            "rows": args.rows,
            "length": run.data.seq_len,
            "dtype": run.model.decoder.dtype,
            "first_call_s": seconds[0],
            "milliseconds": 1e3 * median,
            "tokens_per_second": tokens / median,
            "tflops": flops.model / median / 1e12,
            "mfu": flops.model / median / peak if peak else None,
            "mebibytes": peak_memory(device),
            "compiles": step._cache_size(),
            "losses": [round(loss, 4) for loss in losses],
            "ok": bool(np.isfinite(losses).all() and losses[-1] < losses[0]),
        }
    ]


def evaluator(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per task: written answers under random weights."""
    import dataclasses

    import jax

    from babyvlm_jax.evals.engine import CheckpointPredictor
    from babyvlm_jax.sharding import make_mesh
    from configs.eval.devcv import BUCKETS
    from configs.models import ROWS
    from tests.benchmarks import devcv

    size = "nursery" if args.smoke else args.size
    items = devcv.noise_items(ROWS[size][0], args.items, args.dialogues)
    tasks = ["count", "compare_real"] if args.smoke else [*items]
    mesh, rows = make_mesh(ONE_DEVICE, jax.devices()[:1]), []
    with tempfile.TemporaryDirectory() as folder, jax.set_mesh(mesh):
        workdir = devcv.random_workdir(pathlib.Path(folder) / "random", size)
        buckets = BUCKETS["nursery" if size == "nursery" else "v2"]
        reader = devcv.load_reader(str(workdir), buckets, args.batch_size)
        fewer = dataclasses.replace(reader, batch_size=max(1, args.batch_size // 2))
        for name in tasks:
            own = CheckpointPredictor(reader, args.max_new_tokens)
            own.generate(items[name])  # compiles
            begin = time.perf_counter()
            said = CheckpointPredictor(reader, args.max_new_tokens).generate(
                items[name]
            )
            seconds = time.perf_counter() - begin
            again = CheckpointPredictor(fewer, args.max_new_tokens).generate(
                items[name]
            )
            same = sum(a == b for a, b in zip(said, again, strict=True))
            rows.append(
                {
                    "task": name,
                    "items": len(items[name]),
                    "seconds": seconds,
                    "items_per_second": len(items[name]) / seconds,
                    "same_at_half_the_batch": same,
                    "mebibytes": peak_memory(jax.devices()[0]),
                    "ok": any(any(replies) for replies in said),
                }
            )
    return rows


def peak_flops(kind: str) -> float | None:
    """Dense bf16 FLOP/s of a device kind, or None where no source is at hand."""
    return next((peak for name, peak in PEAKS.items() if name in kind), None)


def peak_memory(device) -> float | None:
    """MiB of device memory in use at most until now; None where it is not counted."""
    stats = device.memory_stats()
    return stats["peak_bytes_in_use"] / 2**20 if stats else None


def facts() -> dict[str, str]:
    """The machine, as this process sees it."""
    import jax

    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def run_parts(
    parts: Sequence[str],
    flags: Sequence[str],
    budget: float,
    out: pathlib.Path | None,
    command: Sequence[str] = (sys.executable, "-m", "tests.benchmarks.accelerator"),
) -> dict[str, Any]:
    """Runs each part in a process of its own; what it found, or why it did not.

    Args:
        flags: of the command line, for every part.
        budget: seconds for all parts.
        out: file that is written anew after each part.
        command: that runs `--part=NAME --out=FILE`.
    """
    found: dict[str, Any] = {}
    left = budget
    for number, part in enumerate(parts):
        share = PARTS[part] / sum(PARTS[name] for name in parts[number:])
        begin = time.monotonic()
        found[part] = _run_part(part, [*command, *flags], left * share)
        found[part]["seconds"] = round(time.monotonic() - begin, 1)
        left -= found[part]["seconds"]
        if out:
            out.write_text(json.dumps(found, indent=2) + "\n")
        print("\n".join(table(part, found[part])), end="\n\n", flush=True)
    return found


def _run_part(part: str, command: Sequence[str], limit: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "part.json"
        try:
            done = subprocess.run(
                [*command, f"--part={part}", f"--out={path}"],
                capture_output=True,
                text=True,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            return {"status": "timeout", "error": f"not done after {limit:.0f} s"}
        if done.returncode or not path.exists():
            last = done.stderr.strip().splitlines()[-5:]
            return {"status": "failed", "error": "\n".join(last) or "no message"}
        read = json.loads(path.read_text())
    wrong = [row for row in read["rows"] if row.get("ok") is False]
    return {"status": "wrong" if wrong else "ok", **read}


def table(part: str, found: dict[str, Any]) -> list[str]:
    """Lines of Markdown: a part's rows, or what went wrong."""
    head = f"{part}: {found['status']}, {found['seconds']} s"
    if "rows" not in found:
        return [head, found["error"]]
    head += ", {device} ({platform}), jax {jax}".format(**found["facts"])
    names = [*dict.fromkeys(name for row in found["rows"] for name in row)]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in found["rows"]:
        cells = [_cell(row.get(name)) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return [head, "", *lines]


def _cell(value) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=pathlib.Path, help="file that gets the figures as JSON")
    add("--parts", default=",".join(PARTS), help="default %(default)s")
    add("--budget", type=float, default=450, help="seconds for all; default 450")
    add("--part", choices=tuple(PARTS), help="run one part in this process")
    add("--smoke", action="store_true", help="tiny sizes: does it run at all?")
    add("--rows", type=int, default=2, help="of the joint step's batch; default 2")
    add("--steps", type=int, default=10, help="timed steps; default 10")
    add("--size", default="small", help="the evaluator's model; default small")
    add("--items", type=int, default=64, help="of each task but memory; default 64")
    add("--dialogues", type=int, default=16, help="items of memory; default 16")
    add("--batch-size", type=int, default=32, help="the evaluator's; default 32")
    add("--max-new-tokens", type=int, default=8, help="default 8")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the benchmark; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.smoke:
        args.steps, args.items, args.dialogues = 3, 2, 1
        args.batch_size = 2
    if args.part:
        rows = {"kernels": kernels, "joint": joint, "evaluator": evaluator}[args.part]
        found = {"facts": facts(), "rows": _on_one_device(rows, args)}
        text = json.dumps(found, indent=2)
        args.out.write_text(text) if args.out else print(text)
        return 0
    parts = args.parts.split(",")
    if unknown := set(parts) - {*PARTS}:
        parser.error(f"--parts: unknown {sorted(unknown)}; known are {[*PARTS]}")
    sizes = ("rows", "steps", "size", "items", "dialogues", "batch_size")
    flags = [f"--{name.replace('_', '-')}={getattr(args, name)}" for name in sizes]
    flags += [f"--max-new-tokens={args.max_new_tokens}"]
    flags += ["--smoke"] if args.smoke else []
    found = run_parts(parts, flags, args.budget, args.out)
    return int(any(one["status"] != "ok" for one in found.values()))


def _on_one_device(rows, args):
    import jax

    from babyvlm_jax.sharding import make_mesh

    with jax.set_mesh(make_mesh(ONE_DEVICE, jax.devices()[:1])):
        return rows(args)


if __name__ == "__main__":
    sys.exit(main())
