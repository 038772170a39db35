"""Runs an import: batches -> shards in worker processes, then one published split.

`OUT/.import/NAME-SPLIT/` holds what an unfinished import has made: a shard and a report
for each batch. A killed import finds them and goes on. `OUT/imports/NAME-SPLIT.json`,
written last, says what went in and what did not, and marks a finished import.
"""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.shards import publish_split, splits_of
from babyvlm_jax.errors import UserError
from data_prep.fields import read_json
from data_prep.importing.batches import BATCH, Batch, Converter, Input, batches
from data_prep.importing.convert import convert_batch
from data_prep.importing.refusal import REASONS
from data_prep.jobs import make_folder, write_json
from data_prep.stages.workers import workers

FORMAT = 1  # of batches and records; another number makes all anew


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
    def staging(self) -> Path:
        return self.out / ".import" / f"{self.name}-{self.split}"

    @property
    def summary(self) -> Path:
        return self.out / "imports" / f"{self.name}-{self.split}.json"


def run_import(job: Import) -> dict[str, Any]:
    """Imports a split, or goes on importing it; does nothing if it is there already.

    Returns:
        The summary: identity, sources (records, images, turns, words of each), reasons
        (how often), skipped (file, number, id, reason and detail of each record).

    Raises:
        UserError: an input cannot be read, no record can be used, the split was
            imported from something else; with `strict`, any record that cannot be used.
    """
    identity = _identity(job)
    there = job.split in splits_of(job.out, job.name)
    if there and job.summary.exists():
        done = read_json(job.summary)
        _expect_same(job, done["identity"], identity)
        _expect_strict(job, done["skipped"])
        return done
    _begin(job, identity)
    waiting = job.staging / "summary.json"
    if not waiting.exists():
        try:
            reports = _convert_all(job)
            write_json(waiting, _summarise(job, identity, reports))
        except UserError:  # what was made is of no use once the input is mended
            _remove(job.staging)
            raise
    summary = read_json(waiting)
    _expect_strict(job, summary["skipped"])
    files = [(job.staging / name, count) for name, count in summary["shards"]]
    size_bytes = summary["size_bytes"]
    publish_split(job.out, job.name, job.split, files, size_bytes, job.description)
    job.summary.parent.mkdir(exist_ok=True)
    os.replace(waiting, job.summary)
    _remove(job.staging)
    return summary


def _identity(job: Import) -> dict[str, Any]:
    """All that the shards depend on."""
    files = [
        {"name": one.path.name, "form": one.form, "prefix": one.prefix}
        | {"sha256": _sha256(one.path)}
        for one in job.inputs
    ]
    made_by = {k: str(v) for k, v in dataclasses.asdict(job.converter).items()}
    return {
        "files": files,
        "converter": made_by,
        "batch_size": job.batch_size,
        "format": FORMAT,
    }


def _remove(staging: Path) -> None:
    """Removes the folder of an import, and its parents if they are empty."""
    shutil.rmtree(staging, ignore_errors=True)
    for parent in (staging.parent, staging.parent.parent):
        with contextlib.suppress(OSError):
            parent.rmdir()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _begin(job, identity):
    marker = job.staging / "identity.json"
    if marker.exists() and read_json(marker) == identity:
        return
    _remove(job.staging)  # an unfinished import of something else
    if job.split in splits_of(job.out, job.name):
        raise UserError(
            f"{job.out} holds a split {job.split!r} of {job.name!r} that was not "
            "imported; choose another --name or --split"
        )
    make_folder(job.staging, f"--out={job.out}")
    write_json(marker, identity)


def _expect_same(job, there: Mapping, wanted: Mapping) -> None:
    differing = [key for key in wanted if there.get(key) != wanted[key]]
    if differing:
        key = differing[0]
        what = f"{key}: there {there.get(key)}, now {wanted[key]}"
        if key == "files":  # their hashes would tell nobody anything
            what = "the input files are others, or have changed"
        raise UserError(
            f"{job.out} holds a split {job.split!r} of {job.name!r} imported from "
            f"something else ({what}); choose another --name or --split, or delete "
            "the folder "
            f"{job.out / job.name}"
        )


def _convert_all(job: Import) -> list[dict[str, Any]]:
    """Converts what is not converted yet; reports of all batches, in order."""
    reports: dict[int, dict[str, Any]] = {}
    total = sum(one.path.stat().st_size for one in job.inputs)
    bar = tqdm(total=total, desc=f"{job.name}/{job.split}", unit="B", unit_scale=True)
    with bar:
        jobs = _jobs(job, reports, bar)
        ahead = list(itertools.islice(jobs, 2))
        # one batch alone is done before another process has begun
        num_processes = job.num_processes if len(ahead) == 2 else 1
        with workers(num_processes) as each:
            _gather(
                job, each(convert_batch, itertools.chain(ahead, jobs)), reports, bar
            )
    return [reports[index] for index in sorted(reports)]


def _gather(job, results, reports, bar):
    for index, report in results:
        _expect_strict(job, report["skipped"])
        reports[index] = report
        kept = sum(r["kept"] for r in reports.values())
        bar.set_postfix(records=kept, refresh=False)


def _jobs(job, reports, bar) -> Iterator[tuple[Path, int, Batch, Converter]]:
    """The batches that are still to do; reports of the others go into `reports`."""
    found = batches(job.inputs, job.converter, bar.update, job.batch_size)
    for index, batch in enumerate(found):
        path = job.staging / f"{index:06d}.json"
        if path.exists():
            reports[index] = read_json(path)
            _expect_strict(job, reports[index]["skipped"])
        else:
            yield job.staging, index, batch, job.converter


def _summarise(job, identity, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sources: dict[str, collections.Counter] = {}
    skipped = [one for report in reports for one in report["skipped"]]
    for report in reports:
        for source, counts in report["sources"].items():
            sources.setdefault(source, collections.Counter()).update(counts)
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
        "identity": identity,
        "sources": {name: sources[name] for name in sorted(sources)},
        "reasons": reasons,
        "skipped": skipped,
        "shards": [(r["shard"], r["kept"]) for r in reports if r["kept"]],
        "size_bytes": sum(report["size_bytes"] for report in reports),
    }


def _expect_strict(job, skipped) -> None:
    if job.strict and skipped:
        one = skipped[0]
        raise UserError(
            f"--strict: record {one['number']} of {one['file']} (id {one['id']!r}) "
            f"cannot be used: {one['reason']}, {REASONS[one['reason']]} "
            f"({one['detail']})"
        )
