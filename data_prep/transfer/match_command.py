"""Kept pictures -> one for each pair of your corpus; step 2 of a transfer.

  python -m data_prep.transfer match runs/transfer --target=shards \\
      --target-name=filtered --embedder=clip@runs/clip

  # 10,000 targets, longer lists of candidates
  python -m data_prep.transfer match runs/transfer --target=shards \\
      --embedder=clip@runs/clip --num-targets=10000 --k=64

Each target gets the picture that is nearest to it in the embedder's space, no picture
twice, so that the total distance is least. Up to 20,000 pictures this is exact. Above,
lists of the nearest candidates are matched, and match.json says how far from the
optimum that can be at most. Pictures are embedded once; a killed run goes on when the
same command is run again. Exit codes: 0 finished, 78 bad input.
"""

import argparse
from pathlib import Path
from typing import Any

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError, add_command_flags
from data_prep.importing.flags import add_command, add_embedding_flags, positive
from data_prep.stages.embedding import Batches, embedder_facts, make_embedder
from data_prep.transfer import assignment
from data_prep.transfer.match import METHODS, SUMMARY, TABLE, Settings, match_corpus


def add_parser(commands) -> None:
    """Adds the command and its flags."""
    head, _, examples = __doc__.partition("\n\n")
    top = add_command(commands, "match", run, head, head, examples)
    add = top.add_argument
    add("folder", metavar="DIR", help="of the transfer, with its rewritten captions")
    add("--target", required=True, metavar="SHARDS", help="folder of your corpus")
    add("--target-name", default="filtered", help="default: filtered")
    add("--target-split", default="train", help="default: train")
    add("--general", metavar="SHARDS", help="where the general-purpose dataset is now")
    add("--embedder", required=True, metavar="NAME@CHECKPOINT")
    add("--method", choices=METHODS, default=METHODS[0], help="default: auto")
    add("--num-targets", type=positive, metavar="N", help="so many, drawn; default all")
    add(
        "--k", type=positive, default=assignment.K, help="candidates on a list at first"
    )
    add("--widest", type=positive, default=assignment.WIDEST, help="and at most")
    add("--passes", type=positive, default=assignment.PASSES, help="of lists that grow")
    add(
        "--max-edges",
        type=positive,
        default=assignment.MAX_EDGES,
        metavar="N",
        help="of all lists together, which bounds memory (default 16 million)",
    )
    add("--subsample", type=positive, default=1000, metavar="N", help="default: 1000")
    add("--seed", type=int, default=0)
    add_embedding_flags(top)
    add_command_flags(top)


def run(args: argparse.Namespace) -> None:
    """Matches and prints how good it is.

    Raises:
        UserError: a bad flag or input.
    """
    if args.seed < 0:
        raise UserError(f"--seed={args.seed}; give 0 or more")
    embedder = make_embedder(args.embedder)
    settings = Settings(
        embedder=embedder_facts(args.embedder),
        batches=Batches(embedder, args.image_size, args.batch_size),
        method=args.method,
        limits=assignment.Limits(args.k, args.widest, args.passes, args.max_edges),
        num_targets=args.num_targets,
        subsample=args.subsample,
        seed=args.seed,
    )
    target = RecordSource(args.target, args.target_name, args.target_split)
    folder = Path(args.folder)
    done = match_corpus(folder, target, args.general, settings)
    print("\n".join(lines(done)))
    print(f"{folder / TABLE}; figures in {SUMMARY}")


def lines(done: dict[str, Any]) -> list[str]:
    """What a matching is worth, for a person; `done` is the summary."""
    some = done["subsample"]
    gap = done["distance"] - done["bound"]
    best = (
        "the optimum" if done["is_optimal"] else f"at most {gap:.4f} above the optimum"
    )
    return [
        f"{done['targets']:,} targets, {done['candidates']:,} candidates, "
        f"{done['method']}: mean distance {done['distance']:.4f}, {best}",
        f"random pictures: {done['random']:.4f}",
        f"of {some['targets']:,} targets and {some['candidates']:,} candidates: "
        f"optimum {some['optimum']:.4f}, sparse {some['sparse']:.4f}, "
        f"random {some['random']:.4f}",
    ]
