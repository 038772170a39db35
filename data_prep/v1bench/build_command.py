"""`python -m data_prep.v1bench build`: annotated frames -> datasets."""

import argparse
import functools
import hashlib
from pathlib import Path

from babyvlm_jax.errors import UserError
from data_prep import raw
from data_prep.devcv import coco, ingest
from data_prep.importing.flags import add_command, check_out, check_workers
from data_prep.v1bench import build, records

EXAMPLES = """examples:
  python -m data_prep.v1bench build --raw=runs/demo/raw --out=runs/demo/shards
  python -m data_prep.v1bench build --coco=annotations.json --frames=frames/ \\
      --out=shards --size=full --tasks=labeled_s,vtwt,winoground

Captions are taken from the dataset image_utterance, which data_prep.build makes, in
--pairs or else in --out. Exit codes: 0 finished, 78 bad input.
"""
DEMO_SIDE = 64  # ours: the nursery's models see 32 pixels


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.v1bench`."""
    one = add_command(
        commands,
        "build",
        run,
        "build items from annotated frames",
        "Builds one dataset per test, of the test split; what is there "
        "already is kept.",
        EXAMPLES,
    )
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--raw", help="raw corpus with annotations")
    source.add_argument("--coco", help="COCO file; needs --frames")
    one.add_argument("--frames", help="folder of the COCO file's pictures")
    one.add_argument("--out", required=True, metavar="SHARDS")
    one.add_argument(
        "--pairs", metavar="SHARDS", help="folder of image_utterance; default --out"
    )
    one.add_argument("--size", choices=sorted(build.SIZES), default="demo")
    one.add_argument("--number", type=int, help="items of each test, not --size's")
    one.add_argument("--tasks", help=f"some of {','.join(records.TASKS)}; default: all")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument(
        "--image-side",
        type=int,
        help=f"longest side of stored pictures; default {DEMO_SIDE} for --size=demo, "
        "else that of the frames",
    )
    one.add_argument(
        "--max-frames",
        type=int,
        default=20000,
        help="frames of the test split at most (their pixels lie in --out meanwhile)",
    )
    one.add_argument("--workers", type=int, default=2, help="processes")
    one.add_argument("--debug", action="store_true", help="traceback of a user error")


def run(args: argparse.Namespace) -> None:
    """Builds, and tells how many items of each test there are.

    Raises:
        UserError: bad input.
    """
    for flag in ("number", "image_side", "max_frames"):
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise UserError(f"--{flag.replace('_', '-')}={value}; give 1 or more")
    out, tasks = check_out(args.out), _tasks(args.tasks)
    source, synthetic, load = _source(args)
    is_demo = args.size == "demo"
    sizes = build.SIZES[args.size]
    plan = build.Plan(
        source=f"{source}, at most {args.max_frames} frames",
        synthetic=synthetic,
        seed=args.seed,
        side=args.image_side or (DEMO_SIDE if is_demo else None),
        wanted={task: args.number or sizes[task] for task in records.TASKS},
        pairs=args.pairs or str(out),
    )
    summary = build.build(out, plan, tasks, load, check_workers(args.workers))
    for task, number in summary["tasks"].items():
        short = number < plan.wanted[task]
        note = f"; {plan.wanted[task]} wanted" if short else ""
        print(f"{records.dataset_name(task)}: {number}{note}")


def _tasks(listed: str | None) -> list[str]:
    chosen = listed.split(",") if listed else list(records.TASKS)
    unknown = [task for task in chosen if task not in records.TASKS]
    if unknown:
        raise UserError(
            f"--tasks: unknown {', '.join(unknown)}; choose from "
            f"{', '.join(records.TASKS)}"
        )
    return chosen


def _source(args: argparse.Namespace):
    """Name and fingerprint of the input, whether it is synthetic, and its loader."""
    if args.raw is not None:
        corpus = raw.read_corpus(args.raw)
        told = f"{corpus.name} ({_digest(corpus.root / 'corpus.json')})"
        load = functools.partial(ingest.load_raw, args.raw, args.max_frames, args.seed)
        return told, corpus.synthetic, load
    if args.frames is None:
        raise UserError("--coco needs --frames=DIR, the folder of its pictures")
    path = Path(args.coco)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give --coco=FILE")
    load = functools.partial(
        coco.load_coco, args.coco, args.frames, args.max_frames, args.seed
    )
    return f"{path.name} ({_digest(path)})", False, load


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
