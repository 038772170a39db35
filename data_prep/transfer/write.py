"""Step 3: the datasets that a transfer adds to the filtered pairs.

`transferred` contains the matched images with their utterances; `general_random` as
many images of the general-purpose corpus drawn at random, the control. What V1 trains
on is then a mixture of whole datasets, so that no image is stored twice:

    filtered          {filtered}
    filtered-aug      {filtered, transferred}
    aug-only          {transferred}
    filtered-random   {filtered, general_random}

Source: BabyVLM V1, variants of training sets; whether the captions of the random ones
were rewritten too is not known, so both are offered.
"""

import argparse
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record, RecordSource
from babyvlm_jax.runtime.errors import UserError, add_command_flags
from babyvlm_jax.runtime.json_fields import read_json
from data_prep.importing.flags import add_command, check_out, check_seed
from data_prep.jobs import write_whole
from data_prep.stages.staging import SplitJob, make_split
from data_prep.transfer import match, rewrite


def card(name: str, summary: Mapping[str, Any], matched: Mapping[str, Any]) -> str:
    """Markdown: where the pairs come from and what chose them.

    Args:
        name: of the dataset.
        summary: of its only split.
        matched: the summary of the matching.
    """
    identity = matched["identity"]
    rewriter, embedder = identity["rewrite"]["rewriter"], identity["embedder"]
    target = identity["target"]
    lines = [
        f"# `{name}`: {summary['records']:,} pairs of `{identity['rewrite']['name']}`",
        "",
        "General-purpose pictures with utterances for a small child, made by",
        "`python -m data_prep.transfer`. No child was filmed for them.",
        "",
        "- rewriter: " + ", ".join(f"{k} `{v}`" for k, v in rewriter.items()),
    ]
    if "captions" in summary["identity"]:
        of = summary["identity"]["captions"]
        seed = summary["identity"]["seed"]
        return "\n".join(
            [*lines, f"- pictures drawn at random, seed {seed}, captions {of}", ""]
        )
    some = matched["subsample"]
    return "\n".join(
        [
            *lines,
            f"- one picture for each of {matched['targets']:,} pairs of "
            f"`{target['name']}/{target['split']}`, of {matched['candidates']:,} kept "
            f"ones, no picture twice; method {matched['method']}",
            f"- embedder `{embedder['embedder']}`, checkpoint "
            f"`{embedder['checkpoint'] or 'none'}`, files sha256 "
            f"{embedder['weights'] or '-'}",
            "",
            "| cosine distance, mean | all | subsample |",
            "|---|---:|---:|",
            f"| matched | {matched['distance']:.4f} | {some['sparse']:.4f} |",
            f"| optimum | at least {matched['bound']:.4f} | {some['optimum']:.4f} |",
            f"| random | {matched['random']:.4f} | {some['random']:.4f} |",
            "",
        ]
    )


CHUNK = 4096  # records of a shard
TRANSFERRED = "transferred"
RANDOM = "general_random"
CAPTIONS = ("rewritten", "raw")


class _Item(NamedTuple):
    """A record to write: number in the corpus, what is said, and facts."""

    number: int
    text: str
    meta: Mapping[str, Any]


def write_corpus(
    folder: Path, out: Path, general: str | None, captions: str, seed: int
) -> dict[str, dict[str, Any]]:
    """Writes `transferred` and `general_random`, split train.

    Args:
        folder: of the transfer, rewritten and matched.
        out: folder of the datasets.
        general: where the general-purpose shards are now; None if they did not move.
        captions: of the random ones, one of `CAPTIONS`: with `rewritten` they are drawn
            among the kept pairs, with `raw` among all.
        seed: of the draw.

    Returns:
        Dataset name -> its summary.

    Raises:
        UserError: a step is missing, or there are too few pairs to draw from.
    """
    for name in (rewrite.SUMMARY, match.SUMMARY):
        if not (folder / name).exists():
            raise UserError(f"{folder} has no {name}; run rewrite, then match")
    rewritten, matched = (
        read_json(folder / s) for s in (rewrite.SUMMARY, match.SUMMARY)
    )
    if matched["identity"]["rewrite"] != rewritten["identity"]:
        raise UserError(f"{folder} was rewritten after it was matched; match it again")
    corpus = rewrite.open_corpus(rewritten["corpus"], general)
    identity = {"match": matched["identity"]}
    drawn = {**identity, "captions": captions, "seed": seed}
    write = functools.partial(_write, out, corpus)
    columns = ("number", "caption", "keep", "utterance")
    rows = list(
        zip(*rewrite.read_table(folder / rewrite.TABLE, columns).values(), strict=True)
    )
    return {
        TRANSFERRED: write(TRANSFERRED, identity, _transferred(folder, rows), matched),
        RANDOM: write(
            RANDOM, drawn, _random(rows, matched["targets"], captions, seed), matched
        ),
    }


def _transferred(folder: Path, rows: Sequence[tuple]) -> list[_Item]:
    said = {
        number: (caption, utterance)
        for number, caption, keep, utterance in rows
        if keep
    }
    pairs = rewrite.read_table(
        folder / match.TABLE, ("number", "target_id", "distance")
    )
    return [
        _Item(
            number,
            said[number][1],
            {
                "caption": said[number][0],
                "target": target_id,
                "distance": round(distance, 6),
            },
        )
        for number, target_id, distance in zip(*pairs.values(), strict=True)
    ]


def _random(rows: Sequence[tuple], size: int, captions: str, seed: int) -> list[_Item]:
    pool = [
        _Item(number, utterance if captions == "rewritten" else caption, {})
        for number, caption, keep, utterance in rows
        if keep or captions == "raw"
    ]
    if len(pool) < size:
        raise UserError(f"{size:,} pairs are to be drawn, but there are {len(pool):,}")
    drawn = np.random.default_rng([seed, 2]).choice(len(pool), size, replace=False)
    return [pool[place] for place in np.sort(drawn)]


def _write(
    out: Path,
    corpus: RecordSource,
    name: str,
    identity: Mapping[str, Any],
    items: Sequence[_Item],
    matched: Mapping[str, Any],
) -> dict[str, Any]:
    job = SplitJob(
        out=out,
        name=name,
        split="train",
        kind=f"transfer from {corpus.name}",
        identity=identity,
        description=f"pairs of {corpus.name} for a small child, by data_prep.transfer",
    )
    chunks = [items[first : first + CHUNK] for first in range(0, len(items), CHUNK)]

    def make(number: int):
        return _records(corpus, chunks[number], name), {}

    summary = make_split(job, len(chunks), make, lambda reports: {})
    card_text = card(name, summary, matched)
    write_whole(out / name / "dataset_card.md", card_text.encode())
    return summary


def _records(corpus: RecordSource, items: Sequence[_Item], name) -> Iterator[Record]:
    found = corpus.read([item.number for item in items])
    for item, record in zip(items, found, strict=True):
        yield Record(
            id=f"{name}/{record.id}",
            source="image_utterance",
            images=record.images,
            turns=((HUMAN, IMAGE_MARK), (ASSISTANT, item.text)),
            meta={"corpus": corpus.name, "record": record.id, **item.meta},
        )


HELP = """\
Matched images -> datasets to train on; step 3 of a transfer.

  python -m data_prep.transfer write runs/transfer --out=shards

  # the control with the captions as they were
  python -m data_prep.transfer write runs/transfer --out=shards --random-captions=raw

Writes `transferred` and, as many images drawn at random, `general_random`. With the
filtered pairs in the same folder they make V1's training sets, which a config names:
--config=configs/v1/joint.py:pairs=filtered-aug (filtered, aug-only, filtered-random).
If killed, run the same command again to resume. Exit codes: 0 finished, 78 bad
input."""


def add_parser(commands) -> None:
    """Adds the command and its flags."""
    top = add_command(commands, "write", run, HELP)
    add = top.add_argument
    add("folder", metavar="DIR", help="of the transfer, rewritten and matched")
    add("--out", required=True, metavar="SHARDS", help="folder of the datasets")
    add("--general", metavar="SHARDS", help="where the general-purpose dataset is now")
    add(
        "--random-captions",
        choices=CAPTIONS,
        default=CAPTIONS[0],
        help="of the random images (default rewritten)",
    )
    add("--seed", type=int, default=0, help="of the random images")
    add_command_flags(top)


def run(args: argparse.Namespace) -> None:
    """Writes the datasets.

    Raises:
        UserError: a bad flag or input.
    """
    check_seed(args.seed)
    made = write_corpus(
        Path(args.folder),
        check_out(args.out),
        args.general,
        args.random_captions,
        args.seed,
    )
    for name, summary in made.items():
        print(f"{name}/train: {summary['records']:,} records in {args.out}")
