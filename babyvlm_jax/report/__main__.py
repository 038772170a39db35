"""Command line of the report.

    python -m babyvlm_jax.report --workdir=runs/demo
    python -m babyvlm_jax.report --workdir=runs/demo --shards=/data/shards --out=r.html
    python -m babyvlm_jax.report --workdir=runs/demo --published
    python -m babyvlm_jax.report --workdir=runs/demo --eval=1440-choice
    python -m babyvlm_jax.report --workdir=runs/demo --show

Prints the path of the page and a table of the tasks. `--show` makes nothing: it prints
the path and the table of a page that is there. `--published` draws numbers from the
literature beside ours, marked as not measured here. `--eval` names an evaluation that
is not the one of the greatest step. The page holds no image of a recording, so that it
can be passed on, unless `--with-images` is given.
"""

import argparse
import pathlib

from babyvlm_jax.evals import tables
from babyvlm_jax.evals.results import find_evaluation, read_evaluation
from babyvlm_jax.runtime.errors import (
    CommandParser,
    UserError,
    add_command_flags,
    printable,
    run_main,
)


def _parse() -> argparse.Namespace:
    parser = CommandParser(
        prog="python -m babyvlm_jax.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    path = pathlib.Path
    parser.add_argument("--workdir", type=path, required=True, help="the run folder")
    parser.add_argument("--shards", type=path, help="datasets; default WORKDIR/shards")
    parser.add_argument(
        "--eval",
        default="",
        metavar="NAME",
        help="folder in WORKDIR/eval; default: the greatest STEP",
    )
    parser.add_argument("--out", type=path, help="page; default WORKDIR/report.html")
    parser.add_argument(
        "--published", action="store_true", help="draw published numbers too"
    )
    parser.add_argument(
        "--with-images",
        action="store_true",
        help="show test items' images even if they are of recordings, not drawn",
    )
    parser.add_argument("--show", action="store_true", help="print what is there")
    add_command_flags(parser)
    return parser.parse_args()


def report(
    workdir, shards, out, show, published=False, name="", with_images=False
) -> None:
    """Writes (or, with `show`, only looks for) the page and prints the table."""
    if not workdir.is_dir():
        raise UserError(f"--workdir={workdir} is not a folder; give a run folder")
    folder = find_evaluation(workdir, name)
    results = read_evaluation(folder)
    if not results.headline:
        raise UserError(
            f"{folder} has no headline task; run babyvlm_jax.evaluate again"
        )
    if show and not out.exists():
        raise UserError(f"no page at {out}; run the command without --show to make it")
    if not show:
        if not out.parent.is_dir():
            raise UserError(f"--out={out}: {out.parent} is not a folder; make it first")
        from babyvlm_jax.report.page import write_page  # imports that --show spares

        write_page(workdir, folder, shards, out, published, with_images)
    print(f"{printable(tables.text(results))}\n\nreport: {out}")


def main() -> None:
    """Parses flags and leaves with the project's exit codes."""
    args = _parse()
    shards = args.shards or args.workdir / "shards"
    out = args.out or args.workdir / "report.html"
    run_main(
        lambda: report(
            args.workdir,
            shards,
            out,
            args.show,
            args.published,
            args.eval,
            args.with_images,
        ),
        debug=args.debug,
    )


if __name__ == "__main__":
    main()
