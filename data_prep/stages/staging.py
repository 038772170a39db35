"""A split that is made chunk by chunk: killed, it goes on; done, it appears whole.

`OUT/.staging/NAME/SPLIT/` holds what an unfinished split has so far: what it is to be
(`identity.json`), and for each chunk a shard and then its report. `OUT/NAME/` gets the
shards, and `SPLIT_summary.json`, which is written last and marks a finished split.
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax import lock
from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.shards import publish_split, splits_of, write_shard
from babyvlm_jax.errors import UserError
from data_prep.fields import read_json
from data_prep.jobs import difference, make_folder, write_json

Facts = dict[str, Any]
# number of a chunk -> its records, and facts that are whole once they are consumed
Maker = Callable[[int], tuple[Iterable[Record], Facts]]


def summary_path(out: Path, name: str, split: str) -> Path:
    """Where the summary of a finished split is."""
    return out / name / f"{split}_summary.json"


@dataclasses.dataclass(frozen=True)
class SplitJob:
    """What to make.

    Attributes:
        out: folder of the datasets, on a local disk.
        name: the dataset; its other splits stay.
        split: the new split.
        identity: all that the records depend on, JSON-able.
        description: of a new dataset.
    """

    out: Path
    name: str
    split: str
    identity: Mapping[str, Any]
    description: str

    @property
    def staging(self) -> Path:
        return self.out / ".staging" / self.name / self.split

    @property
    def summary(self) -> Path:
        return summary_path(self.out, self.name, self.split)

    @property
    def wanted(self) -> dict[str, Any]:
        """The identity as it is read back."""
        return json.loads(json.dumps(self.identity))


def make_split(
    job: SplitJob,
    num_chunks: int,
    make: Maker,
    summarise: Callable[[Sequence[Mapping[str, Any]]], Facts],
) -> dict[str, Any]:
    """Makes a split, or goes on making it; does nothing if it is there already.

    Args:
        job: what to make.
        num_chunks: of the split.
        make: gives the records of a chunk, in order.
        summarise: reports of all chunks (kept, size_bytes and the facts) -> the
            summary; may raise UserError if the split makes no sense.

    Returns:
        The summary: what `summarise` gave, `identity` and `records`.

    Raises:
        UserError: no record is left, another process is making this dataset, or the
            split is there and was made of something else.
    """
    if job.summary.exists() and job.split in splits_of(job.out, job.name):
        done = read_json(job.summary)
        _expect_same(job, done["identity"])
        return done
    make_folder(job.staging.parent, f"--out={job.out}")
    with lock.held(job.staging.parent):
        try:
            return _make_split(job, num_chunks, make, summarise)
        finally:
            _remove_if_empty(job.staging.parent)


def _make_split(job, num_chunks, make, summarise) -> dict[str, Any]:
    _begin(job)
    with tqdm(range(num_chunks), f"{job.name}/{job.split}", unit="part") as bar:
        reports = [_chunk(job, number, make) for number in bar]
    try:
        summary = _summary(job, reports, summarise)
    except UserError:  # what was made is of no use
        shutil.rmtree(job.staging)
        raise
    files = [
        (_shard(job, number), report["kept"])
        for number, report in enumerate(reports)
        if report["kept"]
    ]
    size_bytes = sum(report["size_bytes"] for report in reports)
    publish_split(job.out, job.name, job.split, files, size_bytes, job.description)
    write_json(job.summary, summary)
    shutil.rmtree(job.staging)
    return summary


def _summary(job, reports, summarise) -> dict[str, Any]:
    records = sum(report["kept"] for report in reports)
    found = {**summarise(reports), "identity": job.wanted, "records": records}
    if not records:
        raise UserError(f"{job.name}/{job.split} would hold no record")
    return found


def _shard(job, number) -> Path:
    return job.staging / f"{number:06d}.array_record"


def _begin(job):
    marker = job.staging / "identity.json"
    if marker.exists() and read_json(marker) == job.wanted:
        return
    shutil.rmtree(job.staging, ignore_errors=True)  # unfinished, of something else
    if job.split in splits_of(job.out, job.name):
        raise UserError(
            f"{job.out} holds a split {job.split!r} of {job.name!r} that this command "
            "did not make; choose another name or --out"
        )
    make_folder(job.staging, f"--out={job.out}")
    write_json(marker, job.wanted)


def _expect_same(job, there):
    if differs := difference(there, job.wanted):
        raise UserError(
            f"{job.out} holds a split {job.split!r} of {job.name!r} that differs in "
            f"{differs}; choose another name, or delete the folder {job.out / job.name}"
        )


def _chunk(job, number, make) -> dict[str, Any]:
    path = job.staging / f"{number:06d}.json"
    if path.exists():
        return read_json(path)
    records, facts = make(number)
    kept, size_bytes = write_shard(_shard(job, number), records)
    report = {"kept": kept, "size_bytes": size_bytes, **facts}
    write_json(path, report)
    return json.loads(json.dumps(report))


def _remove_if_empty(folder: Path) -> None:
    """Removes the folder of the lock, and its parent, unless they hold more."""
    if [path.name for path in folder.iterdir()] == [lock.FILE]:
        shutil.rmtree(folder)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
