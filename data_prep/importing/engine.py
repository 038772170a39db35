"""Runs an import: batches -> shards in worker processes, then one published split.

Each batch is a stage of a job (see `jobs`), so that a killed import resumes. When two
imports of a split start at once, the second is refused; imports of two splits of one
dataset join it one after the other. `OUT/imports/NAME-SPLIT.json`, written last, says
what went in and what did not, and marks a finished import.
"""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.schema import IMAGE_MARK, Record
from babyvlm_jax.data.shards import publish_split, splits_of, write_shard
from babyvlm_jax.runtime.errors import UserError, printable
from data_prep.importing.reading import (
    BATCH,
    REASONS,
    Batch,
    Converter,
    Input,
    Refusal,
    batches,
)
from data_prep.jobs import (
    Job,
    digest,
    make_folder,
    make_stage,
    sha256,
    stage_folder,
    stage_report,
)
from data_prep.stages.workers import workers

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
    rows = ((batch, number, raw) for number, raw in batch.raws())
    convert = functools.partial(_convert, converter=converter)
    return _Report(converter).write(folder, rows, convert)


def convert_repeated(
    folder: Path, found: Iterable[Batch], converter: Converter, free: Iterable[str]
) -> dict[str, Any]:
    """Writes a shard of records whose id only records have that were left out.

    Args:
        folder: for the shard.
        found: all batches, in order.
        converter: makes the records.
        free: repeated ids that no record has.

    Returns:
        The report of `convert_batch`. `skipped` has an entry for each repeated record
        of an id in `free`, in order; None for the one that was taken.
    """
    wanted, still = set(free), set(free)
    report = _Report(converter)

    def id_of(batch, number, raw):
        return batch.input.prefix + converter.id(raw, number)

    def convert(batch, number, raw) -> Record:
        record_id = id_of(batch, number, raw)
        if record_id not in still:
            raise Refusal(REPEATED, record_id)
        record = converter.record(raw, record_id)
        still.discard(record_id)
        report.skipped.append(None)
        return record

    rows = (
        (batch, number, raw)
        for batch in found
        for number, raw in (batch.raws() if batch.repeated else ())
        if number in batch.repeated and id_of(batch, number, raw) in wanted
    )
    return report.write(folder, rows, convert)


class _Report:
    """Counts what is kept, and lists what is left out."""

    def __init__(self, converter: Converter):
        self._converter = converter
        self._sources: dict[str, collections.Counter] = {}
        self._unused: collections.Counter = collections.Counter()
        self.skipped: list[dict[str, Any] | None] = []

    def keep(self, record: Record, raw: Any) -> None:
        self._sources.setdefault(record.source, collections.Counter()).update(
            records=1,
            images=len(record.images),
            turns=len(record.turns),
            words=sum(
                len(text.replace(IMAGE_MARK, " ").split()) for _, text in record.turns
            ),
        )
        self._unused.update(self._converter.unused(raw))

    def skip(self, batch: Batch, number: int, raw: Any, refusal: Refusal) -> None:
        try:
            record_id = batch.input.prefix + self._converter.id(raw, number)
        except Refusal:
            record_id = None
        self.skipped.append(
            {
                "file": batch.input.path.name,
                "number": number,
                "id": record_id,
                "reason": refusal.reason,
                "detail": refusal.detail,
            }
        )

    def write(self, folder: Path, rows, convert) -> dict[str, Any]:
        """Writes what `convert` makes of (batch, number, raw) rows; the report."""

        def records() -> Iterator[Record]:
            for batch, number, raw in rows:
                try:
                    record = convert(batch, number, raw)
                except Refusal as refusal:
                    self.skip(batch, number, raw, refusal)
                    continue
                self.keep(record, raw)
                yield record

        kept, size_bytes = write_shard(folder / SHARD, records())
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


COUNTS = ("records", "images", "turns", "words")


def tell_summary(summary: Mapping[str, Any], path: Path) -> None:
    """Prints the counts of an import by source, and of what was left out by reason."""
    print(printable("\n".join(lines(summary, path))))


def lines(summary: Mapping[str, Any], path: Path) -> list[str]:
    """The lines that `tell_summary` prints.

    Args:
        summary: as `run_import` returns it.
        path: where it is kept.
    """
    sources = summary["sources"]
    total = sum(counts["records"] for counts in sources.values())
    found = [f"{summary['dataset']}/{summary['split']}: {total:,} records"]
    width = max(map(len, sources))
    found += [
        f"  {source:{width}}  "
        + ", ".join(f"{counts[what]:,} {what}" for what in COUNTS)
        for source, counts in sources.items()
    ]
    if summary["skipped"]:
        found.append(f"  left out {len(summary['skipped']):,}, listed in {path}")
        width = max(map(len, summary["reasons"]))
        found += [
            f"    {reason:{width}}  {count:,}  {says}"
            for reason, says in REASONS.items()
            if (count := summary["reasons"].get(reason))
        ]
    return found + [
        f"  the field {field!r} of {count:,} records is not kept: it contains neither "
        "text nor numbers"
        for field, count in summary.get("unused", {}).items()
    ]


FORMAT = 1  # of batches and records; another number makes all anew
_NAMED = 3  # files that a message names


@dataclasses.dataclass(frozen=True)
class Import:
    """What to import.

    Attributes:
        inputs: the files.
        converter: makes the records.
        out: folder of the datasets.
        name: the dataset.
        split: of the dataset; its other splits stay.
        description: of a new dataset.
        strict: the first record that cannot be used ends the import.
        num_processes: that convert.
        batch_size: records of a shard.
    """

    inputs: tuple[Input, ...]
    converter: Converter
    out: Path
    name: str
    split: str
    description: str
    strict: bool = False
    num_processes: int = 1
    batch_size: int = BATCH

    @property
    def kind(self) -> str:
        """What it makes, in words: another import is one of other files."""
        names = [one.path.name for one in self.inputs]
        told = ", ".join(names[:_NAMED])
        if more := names[_NAMED:]:
            told += f" and {len(more)} more ({digest(more)[:8]})"
        return f"import of {told} as {self.name}/{self.split}"

    @property
    def summary(self) -> Path:
        return self.out / "imports" / f"{self.name}-{self.split}.json"


def run_import(job: Import) -> dict[str, Any]:
    """Imports a split, or resumes its import; does nothing if it is already there.

    A split that was imported from files of the same names is made again if what they
    hold, or a setting, has changed.

    Returns:
        The summary: identity, sources (records, images, turns, words of each), reasons
        (how often), unused (field -> records whose value no meta can contain), skipped
        (file, number, id, reason and detail of each record).

    Raises:
        UserError: an input cannot be read, no record can be used, the split is there
            and is of something else, or another process imports it; with `strict`, any
            record that cannot be used.
    """
    run = Job(
        out=job.out,
        name=f"{job.name}-{job.split}",
        kind=job.kind,
        summary=job.summary,
        identity=_identity(job),
        foreign=lambda: _there(job),
    )
    if not _there(job):  # somebody has deleted the dataset
        job.summary.unlink(missing_ok=True)
    with run.begun() as done:
        if done is None:
            try:
                stages = _convert_all(job, run)
                facts = _summarise(job, [report for _, report in stages])
            except UserError:  # what was made is of no use once the input is mended
                run.abandon()
                raise
            done = _publish(job, run, stages, facts)
        _expect_strict(job, done["skipped"])
        return done


def _there(job: Import) -> list[str]:
    split = f"the split {job.split!r} of {job.name!r}"
    return [split] if job.split in splits_of(job.out, job.name) else []


def _publish(job, run, stages, facts) -> dict[str, Any]:
    _expect_strict(job, facts["skipped"])
    run.replace()
    files = [
        (stage_folder(run.scratch, key) / SHARD, report["kept"])
        for key, report in stages
        if report["kept"]
    ]
    size_bytes = sum(report["size_bytes"] for _, report in stages)
    publish_split(job.out, job.name, job.split, files, size_bytes, job.description)
    make_folder(job.summary.parent, f"--out={job.out}")
    return run.finish(facts)


def _identity(job: Import) -> dict[str, Any]:
    """All that the shards depend on."""
    files = [
        {"name": one.path.name, "form": one.form, "prefix": one.prefix}
        | {"sha256": sha256(one.path)}
        for one in job.inputs
    ]
    made_by = {k: str(v) for k, v in dataclasses.asdict(job.converter).items()}
    return {
        "files": files,
        "converter": made_by,
        "batch_size": job.batch_size,
        "format": FORMAT,
    }


Stage = tuple[Any, dict[str, Any]]  # its identity and its report


def _convert_all(job: Import, run: Job) -> list[Stage]:
    """Converts what is not converted yet; all stages, in the order of their shards."""
    stages: dict[int, Stage] = {}
    total = sum(one.path.stat().st_size for one in job.inputs)
    bar = tqdm(total=total, desc=f"{job.name}/{job.split}", unit="B", unit_scale=True)
    with bar:
        jobs = _jobs(job, run, stages, bar)
        ahead = list(itertools.islice(jobs, 2))
        # one batch alone is done before another process has begun
        num_processes = job.num_processes if len(ahead) == 2 else 1
        with workers(num_processes) as each:
            for index, stage in each(_make, itertools.chain(ahead, jobs)):
                _expect_strict(job, stage[1]["skipped"])
                stages[index] = stage
                kept = sum(report["kept"] for _, report in stages.values())
                bar.set_postfix(records=kept, refresh=False)
    found = [stages[index] for index in sorted(stages)]
    return found + _repeated(job, run, found)


def _jobs(job, run, stages, bar) -> Iterator[tuple[Path, Any, int, Batch, Converter]]:
    """The batches that are still to do; the stages of the others go into `stages`."""
    found = batches(job.inputs, job.converter, bar.update, job.batch_size)
    identity = digest(run.identity)
    for index, batch in enumerate(found):
        key = [identity, index]
        report = stage_report(run.scratch, key)
        if report is None:
            yield run.scratch, key, index, batch, job.converter
        else:
            stages[index] = key, report
            _expect_strict(job, report["skipped"])


def _make(scratch, key, index, batch, converter) -> tuple[int, Stage]:
    make = functools.partial(convert_batch, batch=batch, converter=converter)
    return index, (key, make_stage(scratch, key, make))


def _repeated(job, run, stages) -> list[Stage]:
    """One more stage, if an id is repeated and its first record was left out.

    The entries of the repeated records in the other reports are brought up to date.
    """
    skipped = [one for _, report in stages for one in report["skipped"]]
    repeated = {one["id"] for one in skipped if one["reason"] == REPEATED}
    free = {one["id"] for one in skipped if one["reason"] != REPEATED} & repeated
    if not free:
        return []

    def make(folder: Path) -> dict[str, Any]:
        again = batches(job.inputs, job.converter, batch_size=job.batch_size)
        return convert_repeated(folder, again, job.converter, free)

    key = [digest(run.identity), "repeated"]
    stage = run.stage(key, make)
    outcomes = iter(stage["skipped"])
    for _, report in stages:
        found = [
            next(outcomes) if one["reason"] == REPEATED and one["id"] in free else one
            for one in report["skipped"]
        ]
        report["skipped"] = [one for one in found if one is not None]
    return [(key, stage | {"skipped": []})]


def _summarise(job, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sources: dict[str, collections.Counter] = {}
    unused: collections.Counter = collections.Counter()
    for report in reports:
        unused.update(report["unused"])
        for source, counts in report["sources"].items():
            sources.setdefault(source, collections.Counter()).update(counts)
    skipped = [one for report in reports for one in report["skipped"]]
    reasons = collections.Counter(one["reason"] for one in skipped)
    if not sources:
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
        first = f"; the first: {skipped[0]['detail']}" if skipped else ""
        raise UserError(
            f"no record of {', '.join(one.path.name for one in job.inputs)} can be "
            f"used ({told or 'there is none'}{first})"
        )
    return {
        "dataset": job.name,
        "split": job.split,
        "sources": {name: sources[name] for name in sorted(sources)},
        "reasons": reasons,
        "unused": unused,
        "skipped": skipped,
    }


def _expect_strict(job, skipped) -> None:
    if job.strict and skipped:
        one = skipped[0]
        raise UserError(
            f"--strict: record {one['number']} of {one['file']} (id {one['id']!r}) "
            f"cannot be used: {one['reason']}, {REASONS[one['reason']]} "
            f"({one['detail']})"
        )
