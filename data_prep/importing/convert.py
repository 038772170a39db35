"""A batch of raw records -> one shard and a report on it."""

import collections
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babyvlm_jax.data.schema import IMAGE_MARK, Record
from babyvlm_jax.data.shards import write_shard
from data_prep.importing.batches import Batch, Converter
from data_prep.importing.refusal import Refusal

SHARD = "records.array_record"
REPEATED = "duplicate_id"


def convert_batch(folder: Path, batch: Batch, converter: Converter) -> dict[str, Any]:
    """Writes the shard of a batch.

    Args:
        folder: for the shard.
        batch: the records.
        converter: makes them.

    Returns:
        The report: kept, size_bytes, sources (source -> counts), unused (field -> in
        how many records it holds what no meta can), skipped (file, number, id, reason
        and detail of each).
    """
    report = _Report(converter)

    def records() -> Iterator[Record]:
        for number, raw in batch.raws():
            try:
                record = _convert(batch, number, raw, converter)
            except Refusal as refusal:
                report.skip(batch, number, raw, refusal)
                continue
            report.keep(record, raw)
            yield record

    return report.of(*write_shard(folder / SHARD, records()))


def convert_repeated(
    folder: Path, found: Iterable[Batch], converter: Converter, free: Iterable[str]
) -> dict[str, Any]:
    """Writes a shard of records whose id only records have that were left out.

    Args:
        folder: for the shard.
        found: all batches, in order.
        converter: makes the records.
        free: ids that come again and that no record has.

    Returns:
        The report of `convert_batch`. `skipped` has an entry for each repeated record
        of an id in `free`, in order; None for the one that was taken.
    """
    report, wanted, still = _Report(converter), set(free), set(free)

    def records() -> Iterator[Record]:
        for batch in found:
            for number, raw in batch.raws() if batch.repeated else ():
                if number not in batch.repeated:
                    continue
                record_id = batch.input.prefix + converter.id(raw, number)
                if record_id not in wanted:
                    continue
                try:
                    if record_id not in still:
                        raise Refusal(REPEATED, record_id)
                    record = converter.record(raw, record_id)
                except Refusal as refusal:
                    report.skip(batch, number, raw, refusal)
                    continue
                still.discard(record_id)
                report.skipped.append(None)
                report.keep(record, raw)
                yield record

    return report.of(*write_shard(folder / SHARD, records()))


class _Report:
    """Counts what is kept, and lists what is left out."""

    def __init__(self, converter: Converter):
        self._converter = converter
        self._sources: dict[str, collections.Counter] = {}
        self._unused: collections.Counter = collections.Counter()
        self.skipped: list[dict[str, Any] | None] = []

    def keep(self, record: Record, raw: Any) -> None:
        counts = self._sources.setdefault(record.source, collections.Counter())
        counts.update(_count(record))
        self._unused.update(self._converter.unused(raw))

    def skip(self, batch: Batch, number: int, raw: Any, refusal: Refusal) -> None:
        self.skipped.append(_skipped(batch, number, raw, self._converter, refusal))

    def of(self, kept: int, size_bytes: int) -> dict[str, Any]:
        return {
            "kept": kept,
            "size_bytes": size_bytes,
            "sources": self._sources,
            "unused": self._unused,
            "skipped": self.skipped,
        }


def _convert(batch, number, raw, converter) -> Record:
    if isinstance(raw, Refusal):
        raise raw
    record_id = batch.input.prefix + converter.id(raw, number)
    new_id = batch.repeated.get(number, record_id)
    if new_id is None:
        raise Refusal(REPEATED, record_id)
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
