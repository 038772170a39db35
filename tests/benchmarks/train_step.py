"""Our training step against PyTorch's, on the same records, in one run.

    python -m tests.benchmarks.train_step
    python -m tests.benchmarks.train_step --losses=50 --repeats=0
    python -m tests.benchmarks.train_step --same-rows=2 --remat=none
    python -m tests.benchmarks.train_step --device=gpu --size=v2 --image-size=224 \\
        --dtype=bfloat16 --batch=32 --rows=2 --seq-len=8192 --max-images=41 \\
        --threads=8 --records=1024

The joint phase: clips, frames and episodes as 181 : 768 : 63, the encoder frozen. The
peer (torch_llava.py) does what the original does: records one a row, padded to the
longest of the batch, batches dealt by number of words. A second row of it sorts by true
length, which the original does not. Ours is `configs/v2/joint.py` on packed rows. Both
begin with the same weights and compute in the same precision. A pass sees every record
once; passes are taken in turn, medians told. On a CPU both sides have one core and
seconds are of the processor, so that what else the machine does counts for little; on a
GPU they are of the wall.

`--same-rows=N` gives both the same full rows instead, one record each and nothing
padded, N steps a pass: what is left is the frameworks' difference. With `--remat=none`
neither side checkpoints.

`--losses=N` compares the first N losses on the same samples in the same order.
"""

import argparse
import dataclasses
import os
import pathlib
import statistics
import tempfile

from tests.benchmarks import world
from tests.benchmarks.sides import RANKS, Pass, Side, Task

INPUTS = {"held": "made before", "loader": "real loader", "same": "the same rows"}
ORDERS = {"as original": "PyTorch, as the original", "sorted": "PyTorch, sorted"}
OURS = "ours, packed"


def compare(task: Task, repeats: int) -> list[str]:
    """Lines of the table: each way with each kind of input."""
    from tests.benchmarks.train_ours import Ours
    from tests.benchmarks.train_peer import Peer

    ours, passes = Side(Ours, task), {}
    ours.ask("write_weights")
    peer = Side(Peer, task)
    for _ in range(repeats):
        for input_ in ("held", "loader"):
            for order, name in ORDERS.items():
                found = passes.setdefault((input_, name), [])
                found.append(peer.ask("time", input_, order))
            passes.setdefault((input_, OURS), []).append(ours.ask("time", input_))
    ours.close()
    peer.close()
    return table(passes)


def compare_same(task: Task, repeats: int, steps: int) -> list[str]:
    """Lines of the table for rows that are the same on both sides."""
    from tests.benchmarks.train_ours import Ours
    from tests.benchmarks.train_peer import Peer

    ours, passes = Side(Ours, task), {}
    ours.ask("write_weights")
    peer = Side(Peer, task)
    for _ in range(repeats):
        for name, side in (("PyTorch", peer), ("ours", ours)):
            passes.setdefault(("same", name), []).append(side.ask("time_same", steps))
    ours.close()
    peer.close()
    return table(passes)


def table(passes: dict[tuple[str, str], list[Pass]]) -> list[str]:
    """Lines of the table, from passes by (input, way); the first way of each is 1.00x.

    Examples a second are of the median pass.
    """
    lines = [
        "| input | way | examples/s | supervised tokens/s | padding | peak memory | |",
        "|---|---|---|---|---|---|---|",
    ]
    first = {}
    for (input_, way), found in passes.items():
        rates = [one.examples / one.seconds for one in found]
        rate = statistics.median(rates)
        learnt = statistics.median(one.supervised / one.seconds for one in found)
        filled = sum(one.filled for one in found) / sum(one.tokens for one in found)
        peak = max(one.peak_bytes for one in found) / 2**20
        ratio = rate / first.setdefault(input_, rate)
        lines.append(
            f"| {INPUTS[input_]} | {way} | {rate:.3g} | {learnt:.3g} | "
            f"{1 - filled:.0%} | {peak:,.0f} MiB | {ratio:.2f}x "
            f"({min(rates) / first[input_]:.2f} to {max(rates) / first[input_]:.2f}) |"
        )
    return lines


def overlay(task: Task, steps: int) -> list[str]:
    """Lines that lay the first losses of both sides over each other.

    The peer takes the records of each of our batches.
    """
    from tests.benchmarks.train_ours import Ours
    from tests.benchmarks.train_peer import Peer

    side = Side(Ours, task)
    side.ask("write_weights")
    records = side.ask("records", steps)
    ours = side.ask("losses", steps)
    side.close()
    side = Side(Peer, task)
    theirs = side.ask("losses", records)
    side.close()
    lines = ["| step | ours | PyTorch | difference |", "|---|---|---|---|"]
    gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    for step, (a, b, gap) in enumerate(zip(ours, theirs, gaps, strict=True), start=1):
        if step == 1 or step % 10 == 0:
            lines.append(f"| {step} | {a:.6f} | {b:.6f} | {gap:.1e} |")
    lines.append(f"\nlargest difference of {steps} losses: {max(gaps):.1e}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.train_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for field in dataclasses.fields(Task):
        if field.name not in ("folder", "examples"):
            flag = "--" + field.name.replace("_", "-")
            help_ = f"default {field.default}"
            parser.add_argument(
                flag, type=type(field.default), default=field.default, help=help_
            )
    parser.add_argument("--records", type=int, default=128, help="default 128")
    parser.add_argument("--repeats", type=int, default=3, help="default 3")
    parser.add_argument("--same-rows", type=int, default=0, help="default 0: none")
    parser.add_argument("--losses", type=int, default=0, help="default 0: none")
    return parser


def main() -> None:
    """Command line of the benchmark."""
    args = vars(_parser().parse_args())
    records, repeats, losses, same = (
        args.pop(k) for k in ("records", "repeats", "losses", "same_rows")
    )
    if records % (RANKS * args["batch"]):
        raise SystemExit(
            f"--records={records}: give a multiple of {RANKS * args['batch']}, which "
            f"the peer deals to {RANKS} ranks of --batch={args['batch']}"
        )
    if args["device"] == "cpu":
        os.environ |= {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    with tempfile.TemporaryDirectory() as name:
        world.write(pathlib.Path(name), world.records(records))
        task = Task(name, examples=records, **args)
        if same:
            print("\n".join(compare_same(task, repeats, same)))
            return
        if repeats:
            print("\n".join(compare(task, repeats)), end="\n\n", flush=True)
        if losses:
            print("\n".join(overlay(task, losses)))


if __name__ == "__main__":
    main()
