"""Folders that an earlier edition wrote, brought over in place.

Each kind of content has a function in `SUBJECTS`: given a folder, it brings over what
it knows of there and yields a line per thing, also for what is up to date already.
What an earlier edition wrote stays readable by it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from babyvlm_jax import checkpoint
from babyvlm_jax.checkpoint import whole
from babyvlm_jax.data.schema import INFO, VERSION, RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.errors import UserError


def upgrade_shards(folder: Path) -> Iterator[str]:
    """Stores the hashes of all records of the datasets in or below `folder`.

    Raises:
        UserError: a shard is damaged.
    """
    for path in sorted(folder.rglob(INFO)):
        version = path.parent
        if version.name != VERSION:
            continue
        shards, name = version.parent.parent, version.parent.name
        for split in splits_of(shards, name):
            source = RecordSource(shards, name, split)
            done = "hashed" if source.hash_all() else "up to date"
            yield f"{version.parent}, {split}: {len(source)} records, {done}"


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


SUBJECTS: tuple[Callable[[Path], Iterator[str]], ...] = (
    upgrade_shards,
    upgrade_checkpoints,
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
        raise UserError(f"{folder} has no datasets and no checkpoints in it")
