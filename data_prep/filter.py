"""Pairs of a picture and an utterance that fit: BabyVLM V1's filtered set.

  # what V1 trains on, with a CLIP checkpoint
  python -m data_prep.filter shards --scorer=clip@runs/clip --threshold=0.2 \\
      --out=shards

  # with an embedder of your own: make(checkpoint) in the file mine.py
  python -m data_prep.filter shards --scorer=mine:make --split=train --out=other

Takes every pair of SHARDS/NAME whose cosine similarity is above the threshold, and
writes them, with it, as the dataset --as. OUT/filtered/dataset_card.md says which
scorer and checkpoint, how many pairs, and how many another threshold would keep, since
what a number means depends on the checkpoint. A killed run goes on when the same
command is run again. Exit codes: 0 finished, 78 bad input.
"""

import argparse
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, IMAGE_MARK, Record, RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError, add_command_flags, run_main
from babyvlm_jax.runtime.json_fields import read_json
from data_prep.importing.flags import (
    add_embedding_flags,
    check_name,
    check_out,
    command_parser,
)
from data_prep.jobs import difference, write_whole
from data_prep.stages import histogram
from data_prep.stages.embedding import Batches, embedder_facts, make_embedder
from data_prep.stages.scoring import CosineScorer
from data_prep.stages.staging import SplitJob, make_split, summary_path

CHUNK = 4096  # pairs of a shard
THRESHOLD = 0.2  # BabyVLM V1 and V2


class NothingKept(UserError):
    """No pair of a split is above the threshold."""


def parser() -> argparse.ArgumentParser:
    """The flags."""
    top = command_parser("data_prep.filter", __doc__)
    add = top.add_argument
    add("shards", metavar="SHARDS", help="folder of the datasets")
    add("--scorer", required=True, metavar="NAME@CHECKPOINT", help="an embedder")
    add(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help=f"pairs above it are kept (default {THRESHOLD})",
    )
    add("--out", required=True, metavar="SHARDS", help="may be the same folder")
    add("--name", default="image_utterance", help="default: image_utterance")
    add("--as", dest="new_name", default="filtered", help="default: filtered")
    add(
        "--split",
        action="append",
        help="default: every split; one of which nothing is left is left out",
    )
    add_embedding_flags(top)
    add_command_flags(top)
    return top


def pair_of(record: Record) -> tuple[bytes, str]:
    """The picture and the utterance of a pair.

    Raises:
        UserError: the record is something else.
    """
    said = [text for role, text in record.turns if role == ASSISTANT]
    if len(record.images) != 1 or len(said) != 1 or not said[0].strip():
        raise UserError(
            f"record {record.id!r} has {len(record.images)} pictures and {len(said)} "
            "answers; expected one of each: give a dataset of pairs with --name"
        )
    return record.images[0], said[0].replace(IMAGE_MARK, " ").strip()


def filter_split(
    args: argparse.Namespace, scorer: CosineScorer, facts: Mapping, split: str
) -> dict[str, Any]:
    """Filters one split; see `staging.make_split` for what it returns and raises."""
    source = RecordSource(args.shards, args.name, split)
    job = SplitJob(
        out=check_out(args.out),
        name=args.new_name,
        split=split,
        kind=f"filtered pairs of {args.name}",
        identity={
            "source": {"name": args.name, "fingerprint": source.fingerprint},
            "scorer": facts,
            "image_size": args.image_size,
            "threshold": args.threshold,
        },
        description=f"pairs of {args.name} with a similarity above {args.threshold:g} "
        f"by {args.scorer}",
        renewed=source.renewed,
    )
    chunks = [
        range(first, min(first + CHUNK, len(source)))
        for first in range(0, len(source), CHUNK)
    ]

    def make(number: int):
        records = source.read(chunks[number])
        scores = scorer(*zip(*map(pair_of, records), strict=True))
        counts = {"histogram": histogram.count(scores), "sum": float(scores.sum())}
        return _kept(records, scores, args.threshold), counts

    return make_split(job, len(chunks), make, functools.partial(_summary, args))


def _kept(records, scores: np.ndarray, threshold) -> Iterator[Record]:
    for record, score in zip(records, scores.tolist(), strict=True):
        if score > threshold:
            meta = {**record.meta, "similarity": round(score, 6)}
            yield dataclasses.replace(record, meta=meta)


def _summary(args, reports) -> dict[str, Any]:
    counts = histogram.add([report["histogram"] for report in reports])
    pairs = sum(counts.values())
    if not any(report["kept"] for report in reports):
        top = (max(map(int, counts)) + 1) * histogram.WIDTH - 1
        raise NothingKept(
            f"--threshold={args.threshold:g} keeps none of {pairs:,} pairs; the most "
            f"similar is below {top:.2f}: give a lower threshold or another scorer"
        )
    mean = sum(report["sum"] for report in reports) / pairs
    return {"pairs": pairs, "mean": round(mean, 4), "histogram": counts}


def card(name: str, summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """The dataset card, in Markdown, of all splits, which are filtered alike."""
    first = next(iter(summaries.values()))["identity"]
    scorer = first["scorer"]
    lines = [
        f"# Filtered pairs: `{name}`",
        "",
        f"Pairs of `{first['source']['name']}` whose picture and utterance have a "
        f"cosine similarity above {first['threshold']:g}, made by "
        "`python -m data_prep.filter`.",
        "",
        f"- scorer `{scorer['embedder']}`",
        f"- checkpoint `{scorer['checkpoint'] or 'none'}`, files sha256 "
        f"{scorer['weights'] or '-'}",
        f"- pictures padded to a square and resized to {first['image_size']} pixels",
        "",
        "| split | pairs | kept | share | mean similarity |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {split} | {one['pairs']:,} | {one['records']:,} | "
            f"{one['records'] / one['pairs']:.1%} | {one['mean']:.4f} |"
            for split, one in summaries.items()
        ),
        "",
        "`above` is what a threshold at the lower end of the row would keep.",
    ]
    for split, one in summaries.items():
        lines += ["", f"## {split}", "", *histogram.table(one["histogram"])]
    return "\n".join([*lines, ""])


def run(args: argparse.Namespace) -> None:
    """Filters the splits that the flags name.

    Raises:
        UserError: a bad flag or input.
    """
    check_name(args.new_name, "--as")
    if not -1 <= args.threshold < 1:  # NaN fails too
        raise UserError(f"--threshold={args.threshold}; cosines are -1 to 1")
    known = splits_of(args.shards, args.name)
    if not known:
        raise UserError(f"no dataset {args.name!r} in {args.shards}; see --name")
    out = check_out(args.out)
    if args.new_name == args.name and out.resolve() == check_out(args.shards).resolve():
        raise UserError(f"--as={args.name} is the dataset itself; give another name")
    embedder = make_embedder(args.scorer)
    scorer = CosineScorer(Batches(embedder, args.image_size, args.batch_size))
    facts = embedder_facts(args.scorer)
    alike = {"scorer": facts, "image_size": args.image_size}
    splits = args.split or sorted(known)
    alike["threshold"] = args.threshold
    _expect_alike(out, args.new_name, splits, alike)
    empty = None
    for split in splits:
        try:
            one = filter_split(args, scorer, facts, split)
        except NothingKept as error:
            if args.split:
                raise
            print(f"{args.new_name}/{split} is left out: {error}")
            empty = error
            continue
        print(
            f"{args.new_name}/{split}: {one['records']:,} of {one['pairs']:,} pairs "
            f"({one['records'] / one['pairs']:.1%}) are above {args.threshold:g}"
        )
        _write_card(out, args.new_name)
    if not (made := splits_of(out, args.new_name)) and empty is not None:
        raise empty
    print(f"{sum(made.values()):,} pairs in {out / args.new_name}")


def _summaries(out: Path, name: str) -> dict[str, Any]:
    return {
        split: read_json(summary_path(out, name, split))
        for split in sorted(splits_of(out, name))
    }


def _expect_alike(out: Path, name: str, splits, wanted: Mapping[str, Any]) -> None:
    """Raises UserError if a split that is not made now was made otherwise."""
    for split, summary in _summaries(out, name).items():
        there = {key: summary["identity"].get(key) for key in wanted}
        if split not in splits and (differs := difference(there, wanted)):
            raise UserError(
                f"{out} holds {name}/{split} filtered with another {differs}; filter "
                "all its splits again, or choose another name with --as"
            )


def _write_card(out: Path, name: str) -> None:
    path = out / name / "dataset_card.md"
    write_whole(path, card(name, _summaries(out, name)).encode())


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    args = parser().parse_args(argv)
    run_main(lambda: run(args), args.debug)


if __name__ == "__main__":
    main()
