"""LLaVA-style records -> shards: JSON lists, JSON Lines or Parquet, with images.

  # the three pretraining files of BabyVLM-V2, a dataset each
  python -m data_prep.llava_json --json=single_image.json --json=multi_image.json \\
      --json=interleaved.json --images=frames --out=shards --split=train

  # one task of an instruction set; a broken record ends the import
  python -m data_prep.llava_json --json=count/data.json --images=count --out=shards \\
      --split=test --source=eval/count --strict

  # a dataset from the Hugging Face hub, images included
  python -m data_prep.llava_json --parquet='data/train-*.parquet' --name=captions \\
      --out=shards --split=train

Records that cannot be used are left out, and listed with the reason in
OUT/imports/NAME-SPLIT.json. If killed, run the same command again to resume. The
shards do not depend on --workers. Exit codes: 0 finished, 78 bad input.
"""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from babyvlm_jax.runtime.errors import UserError, run_main
from data_prep.importing.engine import Import, run_import, tell_summary
from data_prep.importing.flags import (
    add_common_flags,
    check_name,
    check_out,
    command_parser,
    matching,
)
from data_prep.importing.reading import Input
from data_prep.importing.records import Llava, is_source

# file names that say nothing; the folder's name is taken
_VAGUE = ("data", "train", "val", "test", "annotations")


def parser() -> argparse.ArgumentParser:
    """The flags."""
    top = command_parser("data_prep.llava_json", __doc__)
    top.add_argument(
        "--json",
        action="append",
        default=[],
        metavar="FILE",
        help="JSON list or JSON Lines; may be given several times",
    )
    top.add_argument(
        "--parquet",
        action="append",
        default=[],
        metavar="PATTERN",
        help="Parquet files of one dataset; needs --name",
    )
    top.add_argument(
        "--images", metavar="DIR", help="folder that paths are relative to"
    )
    top.add_argument(
        "--name", help="one dataset of all files; default: one a file, named after it"
    )
    top.add_argument(
        "--source",
        help="of every record, for example instruction/count; "
        "default: inferred from its form",
    )
    top.add_argument(
        "--max-side",
        type=int,
        default=256,
        metavar="PIXELS",
        help="larger images, and those that are not JPEG, become JPEGs of "
        "this side (default 256); 0 keeps all as they are",
    )
    top.add_argument(
        "--rename-duplicates",
        action="store_true",
        help="keep records with the id of an earlier one, with #2, #3, ... after it",
    )
    add_common_flags(top)
    return top


def plan(args: argparse.Namespace) -> list[Import]:
    """Command line -> the imports to run, in order.

    Raises:
        UserError: a flag is missing or makes no sense.
    """
    if not (args.json or args.parquet):
        raise UserError("nothing to import; give --json=FILE or --parquet=PATTERN")
    if args.parquet and not args.name:
        raise UserError("--parquet needs --name, the name of the dataset")
    if args.source is not None and not is_source(args.source):
        raise UserError(
            f"--source={args.source} is none; give text, frames, image_utterance, "
            "video_utterance, interleaved, instruction/TASK or eval/TASK"
        )
    if args.max_side < 0:
        raise UserError(f"--max-side={args.max_side}; give 0 or more pixels")
    images = _folder(args.images)
    files = [Path(name) for name in args.json]
    tables = [
        path for pattern in args.parquet for path in matching(pattern, "--parquet")
    ]
    groups = _by_name(files)
    if args.name:
        # whole numbers are repeated in every file
        prefixes = [f"{name}/" if len(files) > 1 else "" for name in groups]
        inputs = [Input(f, "json", p) for f, p in zip(files, prefixes, strict=True)]
        inputs += [Input(table, "parquet") for table in tables]
        groups = {args.name: tuple(inputs)}
    return [
        Import(
            inputs=inputs,
            converter=Llava(
                images, args.max_side, args.source, name, args.rename_duplicates
            ),
            out=check_out(args.out),
            name=check_name(name),
            split=check_name(args.split, "--split"),
            description=f"{name}, imported by data_prep.llava_json",
            strict=args.strict,
            num_processes=args.workers,
        )
        for name, inputs in groups.items()
    ]


def _folder(images: str | None) -> Path | None:
    if images is None:
        return None
    folder = Path(os.path.realpath(images))
    if not folder.is_dir():
        raise UserError(f"--images={images}: no such folder")
    return folder


def _by_name(files: Sequence[Path]) -> dict[str, tuple[Input, ...]]:
    groups: dict[str, tuple[Input, ...]] = {}
    for file in files:
        name = dataset_name(file)
        if name in groups:
            raise UserError(
                f"two files would be called {name!r}; rename one, or import them one "
                "by one with --name"
            )
        groups[name] = (Input(file, "json"),)
    return groups


def dataset_name(file: Path) -> str:
    """`multi-image.json` -> "multi_image"; `count/data.json` -> "count"."""
    stem = file.stem
    if stem in _VAGUE and file.resolve().parent.name:
        stem = file.resolve().parent.name
    return re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    args = parser().parse_args(argv)

    def command():
        for job in plan(args):
            tell_summary(run_import(job), job.summary)

    run_main(command, args.debug)


if __name__ == "__main__":
    main()
