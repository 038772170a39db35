"""Folders that an earlier edition wrote, brought over in place.

Each kind of content has a function in `SUBJECTS`: given a folder, it brings over what
it knows of there and yields a line per thing, also for what is up to date already.
What an earlier edition wrote stays readable by it.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from babyvlm_jax.data.questions import add_rounds
from babyvlm_jax.data.record_files import hashes_path
from babyvlm_jax.data.schema import (
    INFO,
    VERSION,
    RecordSource,
    dataset_dir,
    read_info,
    shard_name,
)
from babyvlm_jax.data.shards import LOCK, WAIT_S, splits_of, write_shard
from babyvlm_jax.evals import rescoring
from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import SystemFault, UserError
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.training import checkpoint
from babyvlm_jax.training.checkpoint import whole

BENCHMARKS = ("devcv_", "v1_")  # what names of their datasets begin with
_SCRATCH = ".upgrade"


def _splits(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """(folder of the shards, dataset, split) of all datasets in or below a folder."""
    for path in sorted(folder.rglob(INFO)):
        dataset = path.parent.parent
        if path.parent.name == VERSION:
            for split in splits_of(dataset.parent, dataset.name):
                yield dataset.parent, dataset.name, split


def upgrade_items(folder: Path) -> Iterator[str]:
    """Writes `meta["rounds"]` into the benchmark items in or below `folder`.

    Those of older datasets are parsed whenever they are read; then they are not.
    Training splits and the dataset's description stay as they are: runs that were
    trained on them know them by both.

    Raises:
        UserError: a shard is damaged.
    """
    for shards, name, split in _splits(folder):
        if split == "train" or not name.startswith(BENCHMARKS):
            continue
        scratch = shards / _SCRATCH / f"{name}-{split}"
        waiting = scratch / "whole.json"
        if not waiting.exists():
            source = RecordSource(shards, name, split)
            is_odd = [
                "rounds" not in add_rounds(record).meta
                for record in source
                if "rounds" not in record.meta
            ]
            if all(is_odd):
                state = f"{len(is_odd)} not understood" if is_odd else "up to date"
                yield f"{shards / name}, {split}: {len(source)} items, {state}"
                continue
            _write_items(source, scratch, waiting)
        count = json.loads(waiting.read_text())
        _replace_shards(shards, name, split, scratch)
        shutil.rmtree(shards / _SCRATCH)
        yield f"{shards / name}, {split}: {count} items, know their questions"


def _write_items(source: RecordSource, scratch: Path, waiting: Path) -> None:
    """Writes the split's shards beside it; `waiting` appears when all are there."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    first = 0
    for number, length in enumerate(read_info(source.folder)[1][source.split]):
        records = (add_rounds(source[i]) for i in range(first, first + length))
        write_shard(scratch / f"{number:05d}", records)
        first += length
    write_atomically(waiting, json.dumps(first).encode())


def _replace_shards(shards: Path, name: str, split: str, scratch: Path) -> None:
    """Replaces shards by those of as many records; resumes if it was interrupted."""
    folder = dataset_dir(shards, name)
    begins, lengths = read_info(folder)
    number_of_shards = len(lengths[split])
    with lock.held(shards / name, LOCK, WAIT_S):
        for number in range(number_of_shards):
            made = scratch / f"{number:05d}"
            place = folder / shard_name(begins, split, number, number_of_shards)
            for new, old in ((hashes_path(made), hashes_path(place)), (made, place)):
                if Path(new).exists():
                    os.replace(new, old)


def upgrade_shards(folder: Path) -> Iterator[str]:
    """Stores the hashes of all records of the datasets in or below `folder`.

    Raises:
        UserError: a shard is damaged.
    """
    for shards, name, split in _splits(folder):
        source = RecordSource(shards, name, split)
        done = "hashed" if source.hash_all() else "up to date"
        yield f"{shards / name}, {split}: {len(source)} records, {done}"


def upgrade_checkpoints(folder: Path) -> Iterator[str]:
    """Stores the hashes of the files of the checkpoints in or below `folder`.

    One that is cut short or damaged is left as it is.
    """
    for path in sorted(folder.rglob(whole.LIST)):
        step = path.parent
        why = whole.fault(step) or whole.damage(step, checkpoint.ITEMS)
        if why:
            yield f"{step}: not whole ({why}), left as it is"
        else:
            yield f"{step}: {'hashed' if whole.upgrade(step) else 'up to date'}"


def upgrade_evaluations(folder: Path) -> Iterator[str]:
    """Scores the evaluations in or below `folder` again, from their predictions.

    One that cannot be is left as it is.
    """
    for path in rescoring.find_folders(folder):
        try:
            yield from rescoring.rescore(path)
        except SystemFault:
            raise
        except UserError as error:
            yield f"{path}: left as it is ({error})"


SUBJECTS: tuple[Callable[[Path], Iterator[str]], ...] = (
    upgrade_items,
    upgrade_shards,
    upgrade_checkpoints,
    upgrade_evaluations,
)


def upgrade(folder: str) -> Iterator[str]:
    """Brings over everything in or below a folder; yields a line per thing.

    Raises:
        UserError: no such folder, or nothing in it that is known here.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is no folder; give one of shards or of a run")
    found = False
    for subject in SUBJECTS:
        for line in subject(Path(folder)):
            found = True
            yield line
    if not found:
        raise UserError(f"{folder} has no datasets, checkpoints or evaluations in it")
