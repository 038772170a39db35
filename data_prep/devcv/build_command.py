"""`python -m data_prep.devcv build`: annotated frames -> datasets."""

import argparse
import functools
import hashlib
from pathlib import Path

from babyvlm_jax.errors import UserError
from data_prep import raw
from data_prep.devcv import (
    build,
    coco,
    export,
    ingest,
    names,
    prompts,
    sizes,
    tracks,
    wordsource,
)
from data_prep.devcv.items import Style
from data_prep.importing.flags import add_command

EXAMPLES = """examples:
  python -m data_prep.devcv build --raw=runs/demo/raw --out=runs/demo/shards \\
      --size=demo --prompts=ego4d
  python -m data_prep.devcv build --coco=annotations.json --frames=frames/ \\
      --out=shards --train=2000 --val=100 --test=500 --tasks=count,localize
"""
DEMO_SIDE = 64  # ours: the nursery's models see 32 pixels


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.devcv`."""
    one = add_command(
        commands,
        "build",
        run,
        "build items from annotated frames",
        "Builds one dataset per task; what is there already is kept.",
        EXAMPLES,
    )
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--raw", help="raw corpus with annotations")
    source.add_argument("--coco", help="COCO file; needs --frames")
    one.add_argument("--frames", help="folder of the COCO file's pictures")
    one.add_argument("--out", required=True, help="folder of the shards")
    one.add_argument("--size", choices=sorted(sizes.SIZES), default="demo")
    for split in raw.SPLITS:
        one.add_argument(
            f"--{split}", type=_positive, help=f"{split} items a task, not --size's"
        )
    one.add_argument("--prompts", choices=prompts.VARIANTS, default="saycam")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--tasks", help="comma-separated; default: all")
    one.add_argument("--workers", type=_positive, default=2, help="processes")
    one.add_argument(
        "--image-side",
        type=_positive,
        help=f"longest side of stored pictures; default {DEMO_SIDE} for --size=demo, "
        "else that of the frames",
    )
    one.add_argument(
        "--max-frames",
        type=_positive,
        default=20000,
        help="frames a split at most (their pixels lie in --out meanwhile)",
    )
    one.add_argument(
        "--mirror",
        action="store_true",
        help="vdr_*: train items from mirrored frames too",
    )
    one.add_argument(
        "--json", metavar="DIR", help="also write the items in the released layout"
    )
    one.add_argument("--debug", action="store_true", help="traceback of a user error")
    boxes = one.add_argument_group("boxes of a detector (--coco)")
    boxes.add_argument("--detections", metavar="FILE", help="results in COCO's form")
    boxes.add_argument(
        "--min-score", type=float, default=0.0, help="leave out boxes scored lower"
    )
    boxes.add_argument(
        "--min-side",
        type=float,
        default=0.0,
        metavar="PIXELS",
        help="leave out boxes with a shorter side",
    )
    boxes.add_argument(
        "--link-iou",
        type=float,
        default=tracks.MIN_IOU,
        help="overlap that makes boxes of neighbouring frames one thing, if none has "
        f"an instance id (default {tracks.MIN_IOU}); 0: never",
    )
    words = one.add_argument_group("words of Picture Vocabulary")
    words.add_argument(
        "--words",
        metavar="FILE",
        help="only these: a list, or a table as CDI lists are",
    )
    words.add_argument(
        "--vectors",
        metavar="FILE",
        help="word vectors; default: learnt from --text or the corpus's train split",
    )
    words.add_argument("--text", metavar="FILE", help="utterances, one a line")
    words.add_argument(
        "--pronunciations",
        metavar="FILE",
        help="phonemes as the CMU dictionary has them; default: as words are spelt",
    )
    published = one.add_argument_group("constructions as published, with their leaks")
    published.add_argument(
        "--leaky-size", action="store_true", help="count: size tells N"
    )
    published.add_argument(
        "--original-leftright", action="store_true", help="two identical mirrors"
    )
    published.add_argument(
        "--identical-repeats", action="store_true", help="memory: same bytes again"
    )
    published.add_argument(
        "--original-spatialdetails",
        action="store_true",
        help="whole frames, one of them the query's own",
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def run(args: argparse.Namespace) -> None:
    """Builds, and tells how many items of each task there are.

    Raises:
        UserError: bad input, or nothing can be built of it.
    """
    tasks = names.chosen_tasks(args.tasks)
    summary = build.build(args.out, _plan(args), tasks, _loader(args), args.workers)
    for task, made in sorted(summary["tasks"].items()):
        wanted = summary["settings"]["wanted"][task]
        short = [s for s in made if made[s] < wanted[s]]
        note = "".join(f"; {s}: {wanted[s]} wanted" for s in short)
        print(f"devcv_{task}: {made['train']} + {made['val']} + {made['test']}{note}")
    if args.json is not None:
        number = export.export(Path(args.out), Path(args.json), tasks)
        print(f"{args.json}: {number:,} items in the released layout")


def _plan(args: argparse.Namespace) -> build.Plan:
    source, synthetic = _source(args)
    is_demo = args.size == "demo"
    style = Style(
        prompts=args.prompts,
        image_side=args.image_side or (DEMO_SIDE if is_demo else None),
        leaky_size=args.leaky_size,
        original_leftright=args.original_leftright,
        identical_repeats=args.identical_repeats,
        original_spatialdetails=args.original_spatialdetails,
        vdr_frames=(5, 6) if is_demo else (5, 10),
        mirror=args.mirror,
        vocabulary=wordsource.vocabulary(
            args.words, args.vectors, args.text, args.pronunciations, args.raw
        ),
    )
    overrides = {split: vars(args)[split] for split in raw.SPLITS}
    return build.Plan(
        source=f"{source}, at most {args.max_frames} frames a split",
        synthetic=synthetic,
        seed=args.seed,
        style=style,
        wanted=sizes.numbers(args.size, overrides),
    )


def _source(args: argparse.Namespace) -> tuple[str, bool]:
    """Name and fingerprint of the input, and whether it is synthetic."""
    _rules(args)
    if args.raw is not None:
        corpus = raw.read_corpus(args.raw)
        return f"{corpus.name} ({_digest(corpus.root / 'corpus.json')})", (
            corpus.synthetic
        )
    if args.frames is None:
        raise UserError("--coco needs --frames=DIR, the folder of its pictures")
    path = Path(args.coco)
    _expect_file(path, "--coco")
    rules = _rules(args)
    told = "" if rules == coco.BoxRules() else f", {rules}"
    if rules.detections is not None:
        _expect_file(Path(rules.detections), "--detections")
        told += f" ({_digest(Path(rules.detections))})"
    return f"{path.name} ({_digest(path)}){told}", False


def _rules(args: argparse.Namespace) -> coco.BoxRules:
    rules = coco.BoxRules(args.detections, args.min_score, args.min_side, args.link_iou)
    if args.raw is not None and rules != coco.BoxRules():
        raise UserError(
            "--detections, --min-score, --min-side and --link-iou are for --coco"
        )
    return rules


def _expect_file(path: Path, flag: str) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file; give {flag}=FILE")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _loader(args: argparse.Namespace):
    if args.raw is not None:
        return functools.partial(ingest.load_raw, args.raw, args.max_frames, args.seed)
    return functools.partial(
        coco.load_coco, args.coco, args.frames, args.max_frames, args.seed, _rules(args)
    )
