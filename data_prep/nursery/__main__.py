"""Writes the nursery: a procedural stand-in for a corpus of a child's experience.

Videos of a head camera, timed transcripts and COCO boxes, for children of several ages.
Everything follows from --seed. If it was stopped, run the same command again to resume;
with other settings it writes the corpus again.
"""

import argparse
from pathlib import Path

from babyvlm_jax.runtime.errors import (
    CommandParser,
    add_command_flags,
    run_main,
)
from data_prep import jobs
from data_prep.importing.flags import check_seed, positive
from data_prep.nursery import settings as settings_lib

_EXAMPLES = """examples:
  python -m data_prep.nursery --out=runs/demo/raw
  python -m data_prep.nursery --out=raw --size=2h --resolution=224x224 --workers=8
  python -m data_prep.nursery --out=raw --sprites=/usr/share/tuxpaint/stamps
"""


def _parse() -> argparse.Namespace:
    parser = CommandParser(
        prog="python -m data_prep.nursery",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, help="folder of the corpus")
    parser.add_argument(
        "--size",
        default="demo",
        help="demo (80 min), small (4h), full (24h) or e.g. 0.5h",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything (default 0)")
    parser.add_argument(
        "--resolution", default="96x96", help="WIDTHxHEIGHT of the frames"
    )
    parser.add_argument(
        "--categories", type=int, help="how many kinds of things (demo: 12, else all)"
    )
    parser.add_argument(
        "--sprites",
        help="PNG or WebP pictures with transparency to use as things, in a folder "
        "for each category",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        default=2,
        help="processes; does not change the corpus",
    )
    add_command_flags(parser)
    return parser.parse_args()


def _settings(args: argparse.Namespace, out: Path) -> settings_lib.Settings:
    check_seed(args.seed)
    number, seconds, categories = settings_lib.parse_size(
        args.size, args.categories, bool(args.sprites)
    )
    digest = None
    if args.sprites:
        files = settings_lib.sprite_files(args.sprites)
        digest = jobs.digest(jobs.Hashes(out).of(files))[:16]
    return settings_lib.Settings(
        seed=args.seed,
        num_recordings=number,
        seconds=seconds,
        resolution=settings_lib.parse_resolution(args.resolution),
        num_categories=categories,
        sprites=args.sprites,
        sprites_digest=digest,
    )


def _run(args: argparse.Namespace) -> None:
    out = Path(args.out)
    settings = _settings(args, out)
    job = settings_lib.job(out, settings)
    with job.begun() as done:
        if done is not None:
            number = settings.num_recordings
            print(f"nursery: {out} is whole already ({number} recordings)")
            return
        # Only now what takes time to import.
        from data_prep.nursery.corpus import write_corpus

        write_corpus(job, settings, args.workers)
    print(f"nursery: {settings.num_recordings} recordings in {out} (synthetic)")


def main() -> None:
    """Runs the command and exits with the project's codes."""
    args = _parse()
    run_main(lambda: _run(args), args.debug)


if __name__ == "__main__":
    main()
