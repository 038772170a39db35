"""Where annotated frames come from: a raw corpus, or a COCO file and its pictures."""

import argparse
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from babyvlm_jax.runtime.errors import UserError
from data_prep import jobs, raw
from data_prep.devcv import coco, ingest
from data_prep.importing.flags import check_seed, positive

DEMO_SIDE = 64  # ours: the nursery's models see 32 pixels


class Source(NamedTuple):
    """Annotated frames.

    Attributes:
        title: name of the corpus or file.
        name: the same with a fingerprint and what is taken of it.
        synthetic: whether nobody filmed them.
        files: name -> file of all that is read; `GROUP/NAME` where there are many.
        load: lists the recordings, and what is wrong with some.
    """

    title: str
    name: str
    synthetic: bool
    files: Mapping[str, Path]
    load: Callable[[], tuple[list[ingest.Job], list[str]]]


def add_source_flags(one: argparse.ArgumentParser) -> None:
    """Adds --raw or --coco and --frames, and what is taken of them."""
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--raw", help="raw corpus with annotations")
    source.add_argument("--coco", help="COCO file; needs --frames")
    one.add_argument("--frames", help="folder of the COCO file's pictures")
    one.add_argument(
        "--max-frames",
        type=positive,
        default=20000,
        help="frames a split at most (their pixels lie in --out meanwhile)",
    )
    one.add_argument(
        "--image-side",
        type=positive,
        help=f"longest side of stored pictures; default {DEMO_SIDE} for --size=demo, "
        "else that of the frames",
    )


def image_side(args: argparse.Namespace) -> int | None:
    """Longest side of stored pictures, None for that of the frames."""
    return args.image_side or (DEMO_SIDE if args.size == "demo" else None)


def find_source(args: argparse.Namespace, rules: coco.BoxRules | None = None) -> Source:
    """What the flags name.

    Args:
        args: with those of `add_source_flags`, and `seed`.
        rules: which boxes count, of a COCO file.

    Raises:
        UserError: a file is missing, or flags do not go together.
    """
    check_seed(args.seed)
    rules = rules or coco.BoxRules()
    most, seed = args.max_frames, args.seed
    taken = f", at most {most} frames a split"
    if args.raw is not None:
        if rules != coco.BoxRules():
            raise UserError(
                "--detections, --min-score, --min-side and --link-iou are for --coco"
            )
        corpus = raw.read_corpus(args.raw)
        name = f"{corpus.name} ({_digest(corpus.root / 'corpus.json')})"
        load = functools.partial(ingest.load_raw, args.raw, most, seed)
        title = f"the corpus {corpus.name!r}"
        return Source(
            title, name + taken, corpus.synthetic, ingest.files_of(corpus), load
        )
    if args.frames is None:
        raise UserError("--coco needs --frames=DIR, the folder of its pictures")
    name = _named(args.coco, "--coco")
    if rules != coco.BoxRules():
        name += f", {rules}"
    if rules.detections is not None:
        name += f", {_named(rules.detections, '--detections')}"
    load = functools.partial(coco.load_coco, args.coco, args.frames, most, seed, rules)
    files = coco.files_of(args.coco, args.frames, rules)
    return Source(Path(args.coco).name, name + taken, False, files, load)


def _named(path: str, flag: str) -> str:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give {flag}=FILE")
    return f"{Path(path).name} ({_digest(Path(path))})"


def _digest(path: Path) -> str:
    return jobs.sha256(path)[:16]
