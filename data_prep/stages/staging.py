"""Datasets and splits as stages of a job: killed, they resume; done, they appear whole.

A split is made chunk by chunk, each a stage. `OUT/NAME/` gets the shards, and
`SPLIT_summary.json`, which is written last and marks a finished split.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.schema import VERSION, Record, dataset_dir, write_dataset
from babyvlm_jax.data.shards import (
    publish_split,
    splits_of,
    write_shard,
)
from babyvlm_jax.runtime.errors import UserError
from data_prep import jobs

SHARD = "part.array_record"
Facts = dict[str, Any]
# number of a chunk -> its records, and facts that are whole once they are consumed
Maker = Callable[[int], tuple[Iterable[Record], Facts]]


def summary_path(out: Path, name: str, split: str) -> Path:
    """Where the summary of a finished split is."""
    return out / name / f"{split}_summary.json"


def stage_dataset(
    folder: Path,
    name: str,
    splits: Mapping[str, Iterable[Record]],
    description: str,
) -> None:
    """Writes a dataset as a stage's `VERSION` folder, for `Job.publish`."""
    whole = folder / "whole"
    write_dataset(whole, name, splits, description)
    os.replace(dataset_dir(whole, name), folder / VERSION)


@dataclasses.dataclass(frozen=True)
class SplitJob:
    """What to make.

    Attributes:
        out: folder of the datasets, on a local disk.
        name: the dataset; its other splits stay.
        split: the new split.
        kind: what the records are; a split of another kind is refused.
        identity: all that the records depend on, JSON-able.
        description: of a new dataset.
        renewed: as in `jobs.Job`.
    """

    out: Path
    name: str
    split: str
    kind: str
    identity: Mapping[str, Any]
    description: str
    renewed: Callable[[Any], Any] = lambda stored: stored

    @property
    def is_there(self) -> bool:
        return self.split in splits_of(self.out, self.name)

    def job(self) -> jobs.Job:
        there = f"{self.name}/{self.split}"
        return jobs.Job(
            out=self.out,
            name=f"{self.name}-{self.split}",
            kind=f"{self.kind} as {there}",
            summary=summary_path(self.out, self.name, self.split),
            identity=self.identity,
            foreign=lambda: [there] if self.is_there else [],
            lacks=lambda done: "" if self.is_there else there,
            renewed=self.renewed,
        )


def make_split(
    split: SplitJob,
    num_chunks: int,
    make: Maker,
    summarise: Callable[[Sequence[Mapping[str, Any]]], Facts],
) -> Facts:
    """Makes a split, or goes on making it; does nothing if it is there already.

    Args:
        split: what to make.
        num_chunks: of the split.
        make: gives the records of a chunk, in order.
        summarise: reports of all chunks (kept, size_bytes and the facts) -> the
            summary; may raise UserError if the split makes no sense.

    Returns:
        The summary: what `summarise` gave, `identity` and `records`.

    Raises:
        UserError: no record is left, another process is making this split, or the
            split that is there is something else.
    """
    job = split.job()
    with job.begun() as done:
        if done is not None:
            return done
        stages = [{"chunk": k, **split.identity} for k in range(num_chunks)]
        with tqdm(stages, f"{split.name}/{split.split}", unit="part") as bar:
            reports = [
                job.stage(stage, functools.partial(_chunk, make, number))
                for number, stage in enumerate(bar)
            ]
        try:
            summary = _summary(split, reports, summarise)
        except UserError:  # what was made is of no use
            job.abandon()
            raise
        files = [
            (jobs.stage_folder(job.scratch, stage) / SHARD, report["kept"])
            for stage, report in zip(stages, reports, strict=True)
            if report["kept"]
        ]
        job.replace()
        publish_split(
            split.out,
            split.name,
            split.split,
            files,
            sum(report["size_bytes"] for report in reports),
            split.description,
        )
        return job.finish(summary)


def _chunk(make: Maker, number: int, folder: Path) -> Facts:
    records, facts = make(number)
    kept, size_bytes = write_shard(folder / SHARD, records)
    return {"kept": kept, "size_bytes": size_bytes, **facts}


def _summary(split, reports, summarise) -> Facts:
    records = sum(report["kept"] for report in reports)
    found = {**summarise(reports), "records": records}
    if not records:
        raise UserError(f"{split.name}/{split.split} would hold no record")
    return found
