"""A batch of raw records -> one shard and a report on it."""

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babyvlm_jax.data.schema import IMAGE_MARK, Record
from babyvlm_jax.data.shards import write_shard
from data_prep.importing.batches import Batch, Converter
from data_prep.importing.refusal import Refusal
from data_prep.jobs import write_json


def convert_batch(
    staging: Path, index: int, batch: Batch, converter: Converter
) -> tuple[int, dict[str, Any]]:
    """Writes the shard of a batch, then its report; each whole or not at all.

    Args:
        staging: folder for both.
        index: number of the batch, which names the files.
        batch: the records.
        converter: makes them.

    Returns:
        `index`, and the report: shard, kept, size_bytes, sources (source -> counts),
        skipped (file, number, id, reason and detail of each).
    """
    skipped: list[dict[str, Any]] = []
    sources: dict[str, collections.Counter] = {}
    shard = f"{index:06d}.array_record"

    def records() -> Iterator[Record]:
        for number, raw in batch.raws():
            try:
                record = _convert(batch, number, raw, converter)
            except Refusal as refusal:
                skipped.append(_skipped(batch, number, raw, converter, refusal))
                continue
            sources.setdefault(record.source, collections.Counter()).update(
                _count(record)
            )
            yield record

    kept, size_bytes = write_shard(staging / shard, records())
    report = {
        "shard": shard,
        "kept": kept,
        "size_bytes": size_bytes,
        "sources": sources,
        "skipped": skipped,
    }
    write_json(staging / f"{index:06d}.json", report)
    return index, report


def _convert(batch, number, raw, converter) -> Record:
    if isinstance(raw, Refusal):
        raise raw
    record_id = batch.input.prefix + converter.id(raw, number)
    new_id = batch.repeated.get(number, record_id)
    if new_id is None:
        raise Refusal("duplicate_id", record_id)
    return converter.record(raw, new_id)


def _skipped(batch, number, raw, converter, refusal) -> dict[str, Any]:
    try:
        record_id = batch.input.prefix + converter.id(raw, number)
    except Refusal:
        record_id = None
    return {
        "file": batch.input.path.name,
        "number": number,
        "id": record_id,
        "reason": refusal.reason,
        "detail": refusal.detail,
    }


def _count(record: Record) -> dict[str, int]:
    words = sum(len(text.replace(IMAGE_MARK, " ").split()) for _, text in record.turns)
    return {
        "records": 1,
        "images": len(record.images),
        "turns": len(record.turns),
        "words": words,
    }
