"""Step 3: the datasets that a transfer adds to the filtered pairs.

`transferred` holds the matched pictures with their utterances; `general_random` as many
pictures of the general-purpose corpus drawn at random, the control. What V1 trains on
is then a mixture of whole datasets, so that no picture is stored twice:

    filtered          {filtered}
    filtered-aug      {filtered, transferred}
    aug-only          {transferred}
    filtered-random   {filtered, general_random}

Source: BabyVLM V1, variants of training sets; whether the captions of the random ones
were rewritten too is not known, so both are offered.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record, RecordSource
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.json_fields import read_json
from data_prep.jobs import write_whole
from data_prep.stages.staging import SplitJob, make_split
from data_prep.transfer import match, rewrite, table
from data_prep.transfer.card import card

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
    corpus = table.open_corpus(rewritten["corpus"], general)
    identity = {"match": matched["identity"]}
    drawn = {**identity, "captions": captions, "seed": seed}
    write = functools.partial(_write, out, corpus)
    return {
        TRANSFERRED: write(TRANSFERRED, identity, _transferred(folder), matched),
        RANDOM: write(
            RANDOM, drawn, _random(folder, matched["targets"], captions, seed), matched
        ),
    }


def _transferred(folder: Path) -> list[_Item]:
    rows = table.read_table(
        folder / rewrite.TABLE, ("number", "caption", "keep", "utterance")
    )
    said = {
        number: (caption, utterance)
        for number, caption, keep, utterance in zip(*rows.values(), strict=True)
        if keep
    }
    pairs = table.read_table(folder / match.TABLE, ("number", "target_id", "distance"))
    items = []
    for number, target_id, distance in zip(*pairs.values(), strict=True):
        caption, utterance = said[number]
        facts = {"target": target_id, "distance": round(distance, 6)}
        items.append(_Item(number, utterance, {"caption": caption, **facts}))
    return items


def _random(folder: Path, size: int, captions: str, seed: int) -> list[_Item]:
    rows = table.read_table(
        folder / rewrite.TABLE, ("number", "caption", "keep", "utterance")
    )
    pool = [
        _Item(number, utterance if captions == "rewritten" else caption, {})
        for number, caption, keep, utterance in zip(*rows.values(), strict=True)
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
    text = card(name, summary, matched)
    write_whole(out / name / "dataset_card.md", text.encode())
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
