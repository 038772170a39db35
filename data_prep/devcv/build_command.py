"""`python -m data_prep.devcv build`: annotated frames -> datasets."""

import argparse
from pathlib import Path

from babyvlm_jax.runtime.errors import add_command_flags
from data_prep import raw
from data_prep.devcv import (
    build,
    ingest,
    names,
    prompts,
    released,
    sizes,
    vocabulary,
)
from data_prep.devcv.items import Style
from data_prep.devcv.source import (
    BoxRules,
    Source,
    add_source_flags,
    find_source,
    image_side,
)
from data_prep.importing.flags import add_command, check_out, positive

HELP = """\
Builds one dataset per task; what is there already is kept.

examples:
  python -m data_prep.devcv build --raw=runs/demo/raw --out=runs/demo/shards \\
      --size=demo --prompts=ego4d
  python -m data_prep.devcv build --coco=annotations.json --frames=frames/ \\
      --out=shards --train=2000 --val=100 --test=500 --tasks=count,localize
"""


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.devcv`."""
    one = add_command(
        commands,
        "build",
        run,
        HELP,
        "build items from annotated frames",
    )
    add_source_flags(one)
    one.add_argument("--out", required=True, help="folder of the shards")
    one.add_argument("--size", choices=sorted(sizes.SIZES), default="demo")
    for split in raw.SPLITS:
        one.add_argument(
            f"--{split}", type=positive, help=f"{split} items a task, not --size's"
        )
    one.add_argument("--prompts", choices=prompts.VARIANTS, default="saycam")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--tasks", help="comma-separated; default: all")
    one.add_argument("--workers", type=positive, default=2, help="processes")
    one.add_argument(
        "--mirror",
        action="store_true",
        help="vdr_*: train items from mirrored frames too",
    )
    one.add_argument(
        "--json", metavar="DIR", help="also write the items in the released layout"
    )
    add_command_flags(one)
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
        default=ingest.MIN_IOU,
        help="overlap that makes boxes of neighbouring frames one thing, if none has "
        f"an instance id (default {ingest.MIN_IOU}); 0: never",
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


def run(args: argparse.Namespace) -> None:
    """Builds, and tells how many items of each task there are.

    Raises:
        UserError: bad input, or nothing can be built of it.
    """
    tasks = names.chosen_tasks(args.tasks)
    rules = BoxRules(args.detections, args.min_score, args.min_side, args.link_iou)
    source = find_source(args, rules)
    summary = build.build(
        check_out(args.out),
        _plan(args, source),
        tasks,
        source.title,
        source.files,
        source.load,
        args.workers,
    )
    for task, made in sorted(summary["tasks"].items()):
        wanted = summary["settings"]["wanted"][task]
        short = [s for s in made if made[s] < wanted[s]]
        note = "".join(f"; {s}: {wanted[s]} wanted" for s in short)
        print(f"devcv_{task}: {made['train']} + {made['val']} + {made['test']}{note}")
    if args.json is not None:
        number = released.export(Path(args.out), Path(args.json), tasks)
        print(f"{args.json}: {number:,} items in the released layout")


def _plan(args: argparse.Namespace, source: Source) -> build.Plan:
    style = Style(
        prompts=args.prompts,
        image_side=image_side(args),
        leaky_size=args.leaky_size,
        original_leftright=args.original_leftright,
        identical_repeats=args.identical_repeats,
        original_spatialdetails=args.original_spatialdetails,
        vdr_frames=(5, 6) if args.size == "demo" else (5, 10),
        mirror=args.mirror,
        vocabulary=vocabulary.vocabulary(
            args.words, args.vectors, args.text, args.pronunciations, args.raw
        ),
    )
    overrides = {split: vars(args)[split] for split in raw.SPLITS}
    return build.Plan(
        source=source.name,
        synthetic=source.synthetic,
        seed=args.seed,
        style=style,
        wanted=sizes.numbers(args.size, overrides),
    )
