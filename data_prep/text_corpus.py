"""Plain text -> shards: JSON lists of utterances, one per line, or transcripts.

  # the transcripts that BabyVLM-V2 trains its language model on
  python -m data_prep.text_corpus --file=corpus_train.json --out=shards --split=train

  # one utterance per line, two files in one dataset
  python -m data_prep.text_corpus --file=books.txt --file=songs.txt --name=stories \\
      --out=shards --split=train

  # a folder of transcripts: lists of {"start_s", "end_s", "text", ...}
  python -m data_prep.text_corpus --file='transcripts/*.json' --out=shards --split=val

A `.txt` file has one utterance per line, any other is JSON: a list (or JSON Lines) of
strings, or of objects with a "text". Each becomes a record with one assistant turn.
What cannot be used is listed in OUT/imports/NAME-SPLIT.json. Exit codes: 0 finished,
78 bad input.
"""

import argparse
from collections import Counter
from collections.abc import Sequence

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
from data_prep.importing.records import Utterances


def parser() -> argparse.ArgumentParser:
    """The flags."""
    top = command_parser("data_prep.text_corpus", __doc__)
    top.add_argument(
        "--file",
        action="append",
        required=True,
        metavar="PATTERN",
        help="a file, or a pattern of files; may be given several times",
    )
    top.add_argument("--name", default="text", help="the dataset (default: text)")
    add_common_flags(top)
    return top


def plan(args: argparse.Namespace) -> Import:
    """Command line -> the import.

    Raises:
        UserError: no such file, two files of one name, or a bad value.
    """
    files = [path for pattern in args.file for path in matching(pattern, "--file")]
    stems = Counter(file.stem for file in files)
    if len(stems) < len(files):
        again = max(stems, key=stems.get)
        raise UserError(
            f"several files are called {again!r}, and ids begin with a file's name; "
            "rename them, or import them under another --name"
        )
    return Import(
        inputs=tuple(
            Input(
                path=file,
                form="lines" if file.suffix == ".txt" else "json",
                prefix=f"{file.stem}/" if len(files) > 1 else "",
            )
            for file in files
        ),
        converter=Utterances(),
        out=check_out(args.out),
        name=check_name(args.name),
        split=check_name(args.split, "--split"),
        description="utterances, imported by data_prep.text_corpus",
        strict=args.strict,
        num_processes=args.workers,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    args = parser().parse_args(argv)

    def command():
        job = plan(args)
        tell_summary(run_import(job), job.summary)

    run_main(command, args.debug)


if __name__ == "__main__":
    main()
